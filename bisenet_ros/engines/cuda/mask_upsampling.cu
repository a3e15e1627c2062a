// After the network, on the GPU: from logits at 1/8 to the mask at the frame's size, in one pass.
//
// The same arithmetic as cpu/postprocess.py: bilinear x8, then to the frame's size, mixes at most three logits along
// each axis, and the class is the first of the largest sum. A thread walks down ROWS pixels of a column, so that
// a row of logits is widened once for all pixels that lie under it. It is C++ that a CPU can run too: the tests do.

#define ROWS 8

// One axis of the upsampling: for each output position, the first of three adjacent inputs and their weights.
struct Axis {
  const unsigned int *start;  // size
  const float *weights;       // 3 x size
  int size;
};

__device__ inline float blend(float a, float b, float c, const float *weights) {
  return a * weights[0] + b * weights[1] + c * weights[2];
}

// One class's upsampled logits in ROWS pixels of a column; `starts` never falls.
__device__ inline void upsample_column(const float *column, int stride, const float *across,
                                       const unsigned int *starts, const float (*down)[3], float *values) {
  const float *row = column + (size_t)starts[0] * stride;
  float upper = blend(row[0], row[1], row[2], across);
  row += stride;
  float middle = blend(row[0], row[1], row[2], across);
  row += stride;
  float lower = blend(row[0], row[1], row[2], across);
  unsigned int start = starts[0];
#pragma unroll
  for (int i = 0; i < ROWS; ++i) {
#pragma unroll 1  // it is entered once in eight pixels or so
    for (; start < starts[i]; ++start) {
      row += stride;
      upper = middle;
      middle = lower;
      lower = blend(row[0], row[1], row[2], across);
    }
    values[i] = blend(upper, middle, lower, down[i]);
  }
}

// Class ids, and confidence unless it is null, of the pixels (x, y) to (x, y + ROWS - 1) of one frame.
// logits: classes x height x width, at 1/8 of the network's size.
__device__ inline void segment_column(const float *logits, int classes, int height, int width, Axis rows, Axis columns,
                                      int x, int y, unsigned char *mask, unsigned char *confidence) {
  float across[3], down[ROWS][3];
  unsigned int starts[ROWS];
  for (int tap = 0; tap < 3; ++tap) across[tap] = columns.weights[tap * columns.size + x];
#pragma unroll
  for (int i = 0; i < ROWS; ++i) {
    const int inside = y + i < rows.size ? y + i : rows.size - 1;
    starts[i] = rows.start[inside];
    for (int tap = 0; tap < 3; ++tap) down[i][tap] = rows.weights[tap * rows.size + inside];
  }

  const float *column = logits + columns.start[x];
  const size_t plane = (size_t)height * width;
  float values[ROWS], best[ROWS];
  int class_id[ROWS];
  upsample_column(column, width, across, starts, down, best);
#pragma unroll
  for (int i = 0; i < ROWS; ++i) class_id[i] = 0;
  for (int c = 1; c < classes; ++c) {
    upsample_column(column + c * plane, width, across, starts, down, values);
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
      const bool better = values[i] > best[i];  // a tie stays with the lower id
      best[i] = better ? values[i] : best[i];
      class_id[i] = better ? c : class_id[i];
    }
  }
#pragma unroll
  for (int i = 0; i < ROWS; ++i)
    if (y + i < rows.size) mask[(size_t)(y + i) * columns.size + x] = (unsigned char)class_id[i];
  if (!confidence) return;

  float total[ROWS] = {};  // of the softmax, whose largest term is 1
  for (int c = 0; c < classes; ++c) {
    upsample_column(column + c * plane, width, across, starts, down, values);
#pragma unroll
    for (int i = 0; i < ROWS; ++i) total[i] += expf(values[i] - best[i]);
  }
#pragma unroll
  for (int i = 0; i < ROWS; ++i)
    if (y + i < rows.size) confidence[(size_t)(y + i) * columns.size + x] = (unsigned char)(255 / total[i] + 0.5f);
}

// One thread per ROWS pixels of a column, one z of the grid per frame.
extern "C" __global__ void mask_upsampling(const float *logits, const unsigned int *row_start,
                                           const float *row_weights, const unsigned int *column_start,
                                           const float *column_weights, unsigned char *mask,
                                           unsigned char *confidence, int classes, int height, int width,
                                           int frame_height, int frame_width) {
  const int x = blockIdx.x * blockDim.x + threadIdx.x;
  const int y = ROWS * (blockIdx.y * blockDim.y + threadIdx.y);
  if (x >= frame_width || y >= frame_height) return;
  const size_t pixels = (size_t)frame_height * frame_width;
  const size_t frame = blockIdx.z;
  segment_column(logits + frame * classes * height * width, classes, height, width,
                 Axis{row_start, row_weights, frame_height}, Axis{column_start, column_weights, frame_width}, x, y,
                 mask + frame * pixels, confidence ? confidence + frame * pixels : confidence);
}
