"""What the node publishes on /diagnostics."""
