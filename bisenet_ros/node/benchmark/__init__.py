"""Measures the node from the camera's publisher to the mask's listener: latency, loss and CPU time."""
