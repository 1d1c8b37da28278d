// How work is laid out on a GPU: sizes of grids, reductions over a warp, and the choice of an instance by element type
// and alignment. No arithmetic.
#pragma once
#ifdef __CUDACC__
#include <cuda_runtime_api.h>
#else
#include "cuda/emulate.h"
#endif

#include "cuda/arithmetic.h"
#include "cuda/bt_cuda.h"
#include "cuda/kernels.h"

namespace bt::cuda {

// The shares of all lanes of a warp, put together the same way in each lane; merge(a, b) must be merge(b, a).
template <typename Value, typename Merge>
__device__ inline Value warpReduce(Value mine, Merge merge) {
  for (int distance = kLanes / 2; distance > 0; distance /= 2) {
    mine = merge(mine, __shfl_xor_sync(0xffffffffu, mine, distance));
  }
  return mine;
}
struct Sum {
  template <typename Value>
  __device__ Value operator()(Value a, Value b) const {
    return a + b;
  }
};

// Blocks for `work` units of which a block does `each` at a time. Kernels walk on by the grid's size: a large grid is
// no use, and a limit keeps it lawful for any size.
inline unsigned blocksFor(int64_t work, int64_t each) {
#ifdef BT_CUDA_MOST_BLOCKS
  constexpr int64_t most = BT_CUDA_MOST_BLOCKS;
#else
  constexpr int64_t most = 1 << 16;
#endif
  const int64_t needed = (work + each - 1) / each;
  return static_cast<unsigned>(needed < most ? needed : most);
}

// Threads of a block that has `work` units: whole warps, no more than `most`.
inline unsigned threadsFor(int64_t work, int64_t most) {
  const int64_t warps = (work + kLanes - 1) / kLanes * kLanes;
  return static_cast<unsigned>(warps < most ? warps : most);
}

#ifdef __CUDACC__
template <typename Kernel, typename... Arguments>
int launch(Kernel kernel, unsigned blocks, unsigned threads, void* stream, Arguments... arguments) {
  kernel<<<blocks, threads, 0, static_cast<cudaStream_t>(stream)>>>(arguments...);
  return cudaGetLastError();
}
#endif

// Sizes that 32-bit numbers hold within a token, and heads that have two halves.
inline bool valid(const BtCudaHeads& shape) {
  return shape.tokens >= 0 && shape.heads > 0 && shape.kvHeads > 0 && shape.headDim > 0 && shape.headDim % 2 == 0 &&
         (shape.heads + 2 * shape.kvHeads) * shape.headDim < (1 << 30);
}
inline HeadsShape narrowed(const BtCudaHeads& shape) {
  return {static_cast<int>(shape.heads), static_cast<int>(shape.kvHeads), static_cast<int>(shape.headDim)};
}

// Whether every pointer may be read 16 bytes at a time.
template <typename... Pointers>
bool aligned16(Pointers... pointers) {
  return ((reinterpret_cast<uintptr_t>(pointers) % 16 == 0) && ...);
}

// Calls work.operator()<T, V>() with the element type that `type` names, and V elements a load: as many as 16 bytes
// hold where `wide` says for that number that they may be read so, else one.
template <typename T, typename Wide, typename Work>
int byWidth(Wide wide, Work work) {
  constexpr int most = 16 / sizeof(T);
  return wide(most) ? work.template operator()<T, most>() : work.template operator()<T, 1>();
}
template <typename Wide, typename Work>
int byType(int type, Wide wide, Work work) {
  switch (type) {
    case kBtCudaF32: return byWidth<float>(wide, work);
    case kBtCudaF16: return byWidth<Fp16>(wide, work);
    case kBtCudaBf16: return byWidth<Bf16>(wide, work);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace bt::cuda
