"""The network in TensorRT."""
