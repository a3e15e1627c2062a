"""What the node publishes of its health."""
