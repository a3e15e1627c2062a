"""Images: encodings, compressed files, colors."""
