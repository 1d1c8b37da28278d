// RMS norm and its backward, of rows and of heads: a warp a row, eight rows a block.
#include "cuda/launch.cuh"

namespace bt::cuda {

namespace {

constexpr int kRowsPerBlock = 8;

// The first row of this warp, and how many rows the grid takes at a time.
__device__ inline int64_t firstRow() { return static_cast<int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.x / kLanes; }
__device__ inline int64_t rowStride() { return static_cast<int64_t>(gridDim.x) * kRowsPerBlock; }

template <typename T, int V>
__global__ void __launch_bounds__(kRowsPerBlock* kLanes)
    forwardKernel(T* y, float* inverseRms, const T* x, const T* weight, int64_t rows, int64_t width, float eps) {
  const int lane = threadIdx.x % kLanes;
  for (int64_t row = firstRow(); row < rows; row += rowStride()) {
    const T* in = x + row * width;
    const float inverse = inverseRmsOf(warpReduce(squareSum<V>(in, width, lane), Sum()), width, eps);
    if (inverseRms != nullptr && lane == 0) inverseRms[row] = inverse;
    writeNorm<V>(y + row * width, in, weight, inverse, width, lane);
  }
}

template <typename T, int V>
__global__ void __launch_bounds__(kRowsPerBlock* kLanes)
    backwardKernel(T* dx, const T* dy, const T* x, const float* inverseRms, const T* weight, int64_t rows,
                   int64_t width) {
  const int lane = threadIdx.x % kLanes;
  for (int64_t row = firstRow(); row < rows; row += rowStride()) {
    const T *grad = dy + row * width, *in = x + row * width;
    const float dot = warpReduce(weightedDot<V>(grad, in, weight, width, lane), Sum());
    writeNormGradient<V, true>(dx + row * width, grad, in, weight, inverseRms[row], dot, width, lane);
  }
}

// Heads of all tokens one below another; of each token q's, k's and v's. Calls visit(head, its number among the normed
// ones or -1, whether it is one of q's) for each of this warp.
template <typename Visit>
__device__ inline void eachHead(const HeadsShape& shape, int64_t tokens, Visit visit) {
  const int normed = shape.heads + shape.kvHeads;
  for (int64_t row = firstRow(); row < tokens * shape.all(); row += rowStride()) {
    const int64_t token = row / shape.all();
    const int head = static_cast<int>(row % shape.all());
    visit(row, head < normed ? token * normed + head : -1, head < shape.heads);
  }
}

template <typename T, int V>
__global__ void __launch_bounds__(kRowsPerBlock* kLanes)
    headForwardKernel(HeadsShape shape, int64_t tokens, T* out, float* inverse, const T* qkv, const T* qWeight,
                      const T* kWeight, float eps) {
  const int lane = threadIdx.x % kLanes, d = shape.headDim;
  eachHead(shape, tokens, [=](int64_t row, int64_t number, bool ofQ) {
    const T* in = qkv + row * d;
    if (number < 0) {
      for (int i = lane * V; i < d; i += kLanes * V) store<V>(out + row * d + i, load<V>(in + i));
      return;
    }
    const float r = inverseRmsOf(warpReduce(squareSum<V>(in, d, lane), Sum()), d, eps);
    if (lane == 0) inverse[number] = r;
    writeNorm<V>(out + row * d, in, ofQ ? qWeight : kWeight, r, d, lane);
  });
}

template <typename T, int V>
__global__ void __launch_bounds__(kRowsPerBlock* kLanes)
    headBackwardKernel(HeadsShape shape, int64_t tokens, T* dqkv, const T* qkv, const float* inverse, const T* qWeight,
                       const T* kWeight) {
  const int lane = threadIdx.x % kLanes, d = shape.headDim;
  eachHead(shape, tokens, [=](int64_t row, int64_t number, bool ofQ) {
    if (number < 0) return;
    const T *in = qkv + row * d, *weight = ofQ ? qWeight : kWeight;
    T* grad = dqkv + row * d;
    const float dot = warpReduce(weightedDot<V>(grad, in, weight, d, lane), Sum());
    writeNormGradient<V, false>(grad, grad, in, weight, inverse[number], dot, d, lane);
  });
}

}  // namespace

int rmsNormForward(int type, void* y, float* inverseRms, const void* x, const void* weight, int64_t rows, int64_t width,
                   float eps, void* stream) {
  if (rows == 0 || width == 0) return cudaSuccess;
  const auto wide = [=](int v) { return width % v == 0 && aligned16(y, x, weight); };
  return byType(type, wide, [=]<typename T, int V>() {
    return launch(forwardKernel<T, V>, blocksFor(rows, kRowsPerBlock), kRowsPerBlock * kLanes, stream,
                  static_cast<T*>(y), inverseRms, static_cast<const T*>(x), static_cast<const T*>(weight), rows, width,
                  eps);
  });
}

int rmsNormBackward(int type, void* dx, const void* dy, const void* x, const float* inverseRms, const void* weight,
                    int64_t rows, int64_t width, void* stream) {
  if (rows == 0 || width == 0) return cudaSuccess;
  const auto wide = [=](int v) { return width % v == 0 && aligned16(dx, dy, x, weight); };
  return byType(type, wide, [=]<typename T, int V>() {
    return launch(backwardKernel<T, V>, blocksFor(rows, kRowsPerBlock), kRowsPerBlock * kLanes, stream,
                  static_cast<T*>(dx), static_cast<const T*>(dy), static_cast<const T*>(x), inverseRms,
                  static_cast<const T*>(weight), rows, width);
  });
}

int headNormForward(int type, const BtCudaHeads* shape, void* out, float* inverse, const void* qkv, const void* qWeight,
                    const void* kWeight, float eps, void* stream) {
  if (!valid(*shape)) return cudaErrorInvalidValue;
  if (shape->tokens == 0) return cudaSuccess;
  const HeadsShape heads = narrowed(*shape);
  const int64_t tokens = shape->tokens;
  const auto wide = [=](int v) { return heads.headDim % v == 0 && aligned16(out, qkv, qWeight, kWeight); };
  return byType(type, wide, [=]<typename T, int V>() {
    return launch(headForwardKernel<T, V>, blocksFor(tokens * heads.all(), kRowsPerBlock), kRowsPerBlock * kLanes,
                  stream, heads, tokens, static_cast<T*>(out), inverse, static_cast<const T*>(qkv),
                  static_cast<const T*>(qWeight), static_cast<const T*>(kWeight), eps);
  });
}

int headNormBackward(int type, const BtCudaHeads* shape, void* dqkv, const void* qkv, const float* inverse,
                     const void* qWeight, const void* kWeight, void* stream) {
  if (!valid(*shape)) return cudaErrorInvalidValue;
  if (shape->tokens == 0) return cudaSuccess;
  const HeadsShape heads = narrowed(*shape);
  const int64_t tokens = shape->tokens;
  const auto wide = [=](int v) { return heads.headDim % v == 0 && aligned16(dqkv, qkv, qWeight, kWeight); };
  return byType(type, wide, [=]<typename T, int V>() {
    return launch(headBackwardKernel<T, V>, blocksFor(tokens * heads.all(), kRowsPerBlock), kRowsPerBlock * kLanes,
                  stream, heads, tokens, static_cast<T*>(dqkv), static_cast<const T*>(qkv), inverse,
                  static_cast<const T*>(qWeight), static_cast<const T*>(kWeight));
  });
}

}  // namespace bt::cuda
