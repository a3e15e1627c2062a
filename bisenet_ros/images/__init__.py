"""Images: encodings of messages, image files, label files, colors."""
