"""Engines timed."""
