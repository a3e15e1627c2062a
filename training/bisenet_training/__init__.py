"""Trains BiSeNet V2 as the paper says."""
