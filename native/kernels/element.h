// Element types of the fused loops and how they become FP32 and come back. Everything is computed in FP32.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

namespace bt {

// Upper half of an FP32 number; layout of at::BFloat16.
struct Bf16 {
  uint16_t bits;
};

// IEEE half precision; layout of at::Half.
struct Fp16 {
  uint16_t bits;
};

inline float widen(float x) { return x; }
inline float widen(Bf16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }

inline float widen(Fp16 x) {
  const uint32_t magnitude = static_cast<uint32_t>(x.bits & 0x7fffu) << 13;
  // Exponents count from 15 there and from 127 here; the product with 2^112 moves them, subnormal numbers too.
  const float moved = std::bit_cast<float>(magnitude) * 0x1p112f;
  const uint32_t finite = std::bit_cast<uint32_t>(moved);
  const uint32_t bits = magnitude >= 0x7c00u << 13 ? magnitude | 0x7f800000u : finite;  // infinities and NaN
  return std::bit_cast<float>(bits | static_cast<uint32_t>(x.bits & 0x8000u) << 16);
}

template <typename T>
inline T narrowTo(float x);
template <>
inline float narrowTo<float>(float x) {
  return x;
}
template <>
inline Bf16 narrowTo<Bf16>(float x) {
  // To nearest, ties to even. A NaN stays one: its quiet bit is set.
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t quiet = (bits >> 16) | 0x40u;
  return {static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded)};
}

template <>
inline Fp16 narrowTo<Fp16>(float x) {
  // To nearest, ties to even; 65520 and beyond become infinite. A NaN stays one: its quiet bit is set.
  const uint32_t bits = std::bit_cast<uint32_t>(x), magnitude = bits & 0x7fffffffu;
  const uint32_t normal = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  // Below 2^-14 the spacing is 2^-24, which is that of FP32 numbers between 0.5 and 1.
  const uint32_t small = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  const uint32_t quiet = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
  uint32_t half = magnitude < 113u << 23 ? small : normal;
  half = magnitude >= 0x477ff000u ? 0x7c00u : half;
  half = magnitude > 0x7f800000u ? quiet : half;
  return {static_cast<uint16_t>(half | ((bits >> 16) & 0x8000u))};
}

// e^x to 2 ulp, written so that compilers vectorise it: range reduction to |r| <= ln 2 / 2 and a polynomial of degree 6
// (Cephes expf). Below -87.3 it is 0, above 88.3 it is held at e^88.3: the scale 2^n stays a normal number.
inline float fastExp(float x) {
  const float clamped = x > 88.3f ? 88.3f : (x < -87.3f ? -87.3f : x);
  const float n = std::nearbyint(clamped * 1.44269504088896341f);
  float r = clamped - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const float value = (p * r * r + r) + 1.0f;
  const float scaled = value * std::bit_cast<float>(static_cast<uint32_t>(static_cast<int32_t>(n) + 127) << 23);
  return x < -87.3f ? 0.0f : scaled;
}

}  // namespace bt

// Compiles a function for AVX-512, for AVX2 and for any x86-64; the loader picks at run time. Sanitized builds take
// one.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BT_DISPATCH
#else
#define BT_DISPATCH __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
#define BT_INLINE inline __attribute__((always_inline))
