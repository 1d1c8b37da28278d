// Heads apart and together with rotary embedding: a block a token, a thread a piece of a head.
#include "cuda/launch.cuh"

namespace bt::cuda {

namespace {

constexpr int kThreads = 256;

// kBack: from q, k, v to qkv. What is read only is const all the same in the arithmetic, which decides by kBack.
template <typename Row, typename Part, int V, bool kBack>
__global__ void __launch_bounds__(kThreads)
    moveKernel(HeadsShape shape, int64_t tokens, Row* qkv, const float* cos, const float* sin, const int32_t* positions,
               Part* q, Part* k, Part* v) {
  const int pieces = shape.pieces<V>();
  for (int64_t token = blockIdx.x; token < tokens; token += gridDim.x) {
    const int64_t position = positions == nullptr ? token : positions[token];
    for (int piece = threadIdx.x; piece < pieces; piece += blockDim.x) {
      moveHeadPiece<V, kBack>(shape, qkv, cos, sin, q, k, v, token, position, piece);
    }
  }
}

}  // namespace

int splitHeads(int type, const BtCudaHeads* shape, const void* qkv, const float* cos, const float* sin,
               const int32_t* positions, void* q, void* k, void* v, void* stream) {
  if (!valid(*shape)) return cudaErrorInvalidValue;
  if (shape->tokens == 0) return cudaSuccess;
  const HeadsShape heads = narrowed(*shape);
  const int64_t tokens = shape->tokens;
  const auto wide = [=](int width) { return heads.headDim / 2 % width == 0 && aligned16(qkv, q, k, v); };
  return byType(type, wide, [=]<typename T, int V>() {
    return launch(moveKernel<const T, T, V, false>, blocksFor(tokens, 1), threadsFor(heads.pieces<V>(), kThreads),
                  stream, heads, tokens, static_cast<const T*>(qkv), cos, sin, positions, static_cast<T*>(q),
                  static_cast<T*>(k), static_cast<T*>(v));
  });
}

int joinHeads(int type, const BtCudaHeads* shape, const void* dq, const void* dk, const void* dv, const float* cos,
              const float* sin, const int32_t* positions, void* dqkv, void* stream) {
  if (!valid(*shape)) return cudaErrorInvalidValue;
  if (shape->tokens == 0) return cudaSuccess;
  const HeadsShape heads = narrowed(*shape);
  const int64_t tokens = shape->tokens;
  const auto wide = [=](int width) { return heads.headDim / 2 % width == 0 && aligned16(dqkv, dq, dk, dv); };
  return byType(type, wide, [=]<typename T, int V>() {
    return launch(moveKernel<T, const T, V, true>, blocksFor(tokens, 1), threadsFor(heads.pieces<V>(), kThreads),
                  stream, heads, tokens, static_cast<T*>(dqkv), cos, sin, positions, static_cast<const T*>(dq),
                  static_cast<const T*>(dk), static_cast<const T*>(dv));
  });
}

}  // namespace bt::cuda
