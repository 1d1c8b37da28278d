// Dropout masks: a block a token, a thread two features, which share a draw.
#include "cuda/launch.cuh"

namespace bt::cuda {

namespace {

constexpr int kThreads = 256;

// kPaired: the width is even, and a pair is written at once.
template <bool kPaired>
__global__ void __launch_bounds__(kThreads)
    maskKernel(float* mask, int64_t tokens, int64_t width, const int32_t* rowOf, const int32_t* positionOf,
               const uint64_t* stepKey, uint64_t index, DropoutCut cut) {
  const uint64_t key = dropoutKey(*stepKey, index);
  for (int64_t token = blockIdx.x; token < tokens; token += gridDim.x) {
    const uint64_t tokenKey = dropoutTokenKey(key, rowOf[token], positionOf[token]);
    float* out = mask + token * width;
    for (int64_t f = 2 * threadIdx.x; f < width; f += 2 * blockDim.x) {
      const Pack<float, 2> pair = dropoutPair(tokenKey, f, cut);
      if constexpr (kPaired) {
        store<2>(out + f, pair);
      } else {
        out[f] = pair.at[0];
        if (f + 1 < width) out[f + 1] = pair.at[1];
      }
    }
  }
}

}  // namespace

int dropoutMask(float* mask, int64_t tokens, int64_t width, const int32_t* rowOf, const int32_t* positionOf,
                const uint64_t* stepKey, uint64_t index, double p, void* stream) {
  if (!(p >= 0 && p < 1)) return cudaErrorInvalidValue;
  if (tokens == 0 || width == 0) return cudaSuccess;
  const auto kernel = width % 2 == 0 && aligned16(mask) ? maskKernel<true> : maskKernel<false>;
  return launch(kernel, blocksFor(tokens, 1), threadsFor((width + 1) / 2, kThreads), stream, mask, tokens, width, rowOf,
                positionOf, stepKey, index, dropoutCut(p));
}

}  // namespace bt::cuda
