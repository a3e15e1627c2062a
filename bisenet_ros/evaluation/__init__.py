"""Masks of bags and data sets, measured and reported: scores, temporal consistency, comparisons."""

OUTPUTS = ("mask", "color_mask", "overlay")
"""What a bag of masks may hold; the first is always there."""
