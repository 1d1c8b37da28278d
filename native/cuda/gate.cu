// The SiLU gate and its backward: a thread takes V elements of a row.
#include "cuda/launch.cuh"

namespace bt::cuda {

namespace {

constexpr int kThreads = 256;

// Calls visit(row, first element) for each pack of this thread.
template <int V, typename Visit>
__device__ inline void eachPack(int64_t rows, int64_t inner, Visit visit) {
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const int64_t stride = static_cast<int64_t>(blockDim.x) * V;
    for (int64_t i = static_cast<int64_t>(threadIdx.x) * V; i < inner; i += stride) visit(row, i);
  }
}

template <typename T, int V>
__global__ void __launch_bounds__(kThreads) forwardKernel(T* out, const T* gateUp, int64_t rows, int64_t inner) {
  eachPack<V>(rows, inner, [=](int64_t row, int64_t i) {
    const T* gate = gateUp + row * 2 * inner + i;
    gateForward<V>(out + row * inner + i, gate, gate + inner);
  });
}

template <typename T, int V>
__global__ void __launch_bounds__(kThreads) backwardKernel(T* gateUp, const T* dOut, int64_t rows, int64_t inner) {
  eachPack<V>(rows, inner, [=](int64_t row, int64_t i) {
    T* gate = gateUp + row * 2 * inner + i;
    gateBackward<V>(gate, gate + inner, dOut + row * inner + i);
  });
}

}  // namespace

int siluGateForward(int type, void* out, const void* gateUp, int64_t rows, int64_t inner, void* stream) {
  if (rows == 0 || inner == 0) return cudaSuccess;
  const auto wide = [=](int v) { return inner % v == 0 && aligned16(out, gateUp); };
  return byType(type, wide, [=]<typename T, int V>() {
    return launch(forwardKernel<T, V>, blocksFor(rows, 1), threadsFor(inner / V, kThreads), stream,
                  static_cast<T*>(out), static_cast<const T*>(gateUp), rows, inner);
  });
}

int siluGateBackward(int type, void* gateUp, const void* dOut, int64_t rows, int64_t inner, void* stream) {
  if (rows == 0 || inner == 0) return cudaSuccess;
  const auto wide = [=](int v) { return inner % v == 0 && aligned16(gateUp, dOut); };
  return byType(type, wide, [=]<typename T, int V>() {
    return launch(backwardKernel<T, V>, blocksFor(rows, 1), threadsFor(inner / V, kThreads), stream,
                  static_cast<T*>(gateUp), static_cast<const T*>(dOut), rows, inner);
  });
}

}  // namespace bt::cuda
