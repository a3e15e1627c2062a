"""Masks of bags and data sets, measured and reported: scores, temporal consistency, comparisons."""
