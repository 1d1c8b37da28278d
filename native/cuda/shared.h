// The headers of native/kernels that a GPU computes with, too. Their functions are plain `inline` ones; under nvcc that
// word is made to say that they run on both sides, so that there is one definition of each.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#define BT_BOTH __host__ __device__
#define inline __host__ __device__ inline
#include "kernels/element.h"
#include "kernels/random.h"
#undef inline
#else
#define BT_BOTH
#include "kernels/element.h"
#include "kernels/random.h"
#endif

namespace bt::cuda {

// widen and narrowTo of kernels/element.h. A GPU has instructions that round as those do (but to a NaN of its own).
template <typename T>
BT_BOTH inline float wide(T x) {
  return widen(x);
}
template <typename T>
BT_BOTH inline T rounded(float x) {
  return narrowTo<T>(x);
}

#ifdef __CUDA_ARCH__
template <>
__device__ inline float wide<Fp16>(Fp16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}
template <>
__device__ inline Fp16 rounded<Fp16>(float x) {
  Fp16 y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}
template <>
__device__ inline Bf16 rounded<Bf16>(float x) {
  Bf16 y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}
#endif

}  // namespace bt::cuda
