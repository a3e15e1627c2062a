"""The CUDA driver and our kernels."""
