"""Data sets, loading and augmentation."""
