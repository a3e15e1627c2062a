"""Starts a node, plays a camera, listens, and counts what became of every frame."""
