"""Model files: the card, the classes, the input size."""
