"""The network on a CPU."""
