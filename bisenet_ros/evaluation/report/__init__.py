"""Reports of segmented bags, and two of them side by side."""
