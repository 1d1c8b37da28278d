// Cross-entropy of scored rows with its gradient in the logits' place: a block a row, then one block for the sum. Every
// sum is taken in an order that depends on sizes alone.
#include "cuda/launch.cuh"

namespace bt::cuda {

namespace {

constexpr int kThreads = 512, kWarps = kThreads / kLanes;

// In lane 0 of the warp, of all its lanes; the others may differ in the last bit.
__device__ inline LogSum mergeWarp(LogSum mine) {
  for (int distance = kLanes / 2; distance > 0; distance /= 2) {
    const LogSum other = {__shfl_xor_sync(0xffffffffu, mine.max, distance),
                          __shfl_xor_sync(0xffffffffu, mine.sum, distance)};
    mine = merged(mine, other);
  }
  return mine;
}

template <typename T, int V>
__global__ void __launch_bounds__(kThreads)
    rowKernel(T* logits, const int64_t* targets, float* rowLoss, int64_t rows, int64_t vocab, float gradScale) {
  __shared__ LogSum ofWarp[kWarps];
  __shared__ float normalizer;
  const int thread = threadIdx.x;
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    T* values = logits + row * vocab;
    const LogSum mine = mergeWarp(logSumOf<V>(values, vocab, thread, kThreads));
    if (thread % kLanes == 0) ofWarp[thread / kLanes] = mine;
    __syncthreads();
    if (thread == 0) {
      LogSum all = ofWarp[0];
      for (int warp = 1; warp < kWarps; ++warp) all = merged(all, ofWarp[warp]);
      normalizer = normalizerOf(all);
      // Before the gradient takes the logits' place.
      rowLoss[row] = normalizer - wide(values[targets[row]]);
    }
    __syncthreads();
    if (gradScale != 0) {
      writeLogitGradient<V>(values, vocab, targets[row], normalizer, gradScale, thread, kThreads);
    }
    __syncthreads();  // the next row's shares go where this one's were
  }
}

__global__ void __launch_bounds__(kThreads) sumKernel(double* lossSum, const float* rowLoss, int64_t rows) {
  __shared__ double ofThread[kThreads];
  const int thread = threadIdx.x;
  ofThread[thread] = lossShare(rowLoss, rows, thread, kThreads);
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (thread < half) ofThread[thread] += ofThread[thread + half];
  }
  if (thread == 0) *lossSum += ofThread[0];
}

}  // namespace

int crossEntropy(int type, void* logits, const int64_t* targets, float* rowLoss, double* lossSum, int64_t rows,
                 int64_t vocab, float gradScale, void* stream) {
  if (rows == 0 || vocab == 0) return cudaSuccess;
  const auto wide = [=](int v) { return vocab % v == 0 && aligned16(logits); };
  const int error = byType(type, wide, [=]<typename T, int V>() {
    return launch(rowKernel<T, V>, blocksFor(rows, 1), kThreads, stream, static_cast<T*>(logits), targets, rowLoss,
                  rows, vocab, gradScale);
  });
  return error != cudaSuccess ? error : launch(sumKernel, 1, kThreads, stream, lossSum, rowLoss, rows);
}

}  // namespace bt::cuda
