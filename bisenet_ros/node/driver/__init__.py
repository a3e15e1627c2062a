"""Drives a node: starts it, plays cameras, listens, counts what became of every frame, and ends it."""
