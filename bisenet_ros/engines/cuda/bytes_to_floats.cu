// Before the network, on the GPU: a frame's bytes to floats, for TensorRT before 8.5, whose plans take no uint8.
extern "C" __global__ void bytes_to_floats(const unsigned char *bytes, float *floats, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) floats[i] = bytes[i];
}
