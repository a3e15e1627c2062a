"""Files: written whole, hashed, found where they are installed."""
