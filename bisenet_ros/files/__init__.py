"""Files: written atomically, hashed, found where they are installed."""
