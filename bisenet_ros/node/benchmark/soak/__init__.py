"""`make soak`: the node at full rate for long; memory and latency must stay flat, and the end clean."""
