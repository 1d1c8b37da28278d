// What the kernels for AVX-512 share: vectors in and out of both element types, products and e^x. Only their .cc files
// include it: everything here is theirs alone, for the compiler may use any of their instructions in it.
#pragma once
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

namespace bt::avx512 {

namespace {

// Depth that one instruction multiplies: vdpbf16ps adds products of pairs.
template <typename T>
constexpr int64_t depth = sizeof(T) == 2 ? 2 : 1;

constexpr int64_t lanes = 16;

inline int64_t roundUp(int64_t x, int64_t to) { return (x + to - 1) / to * to; }
inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

inline __m512 multiplyAdd(__m512 sum, const float* a, const float* b) {
  return _mm512_fmadd_ps(_mm512_set1_ps(*a), _mm512_loadu_ps(b), sum);
}
inline __m512 multiplyAdd(__m512 sum, const uint16_t* a, const uint16_t* b) {
  int32_t pair;
  memcpy(&pair, a, sizeof pair);
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair)),
                          reinterpret_cast<__m512bh>(_mm512_loadu_si512(b)));
}

inline void store(float* to, __m512 x) { _mm512_storeu_ps(to, x); }
inline void store(uint16_t* to, __m512 x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
}
inline __m512 load(const float* from) { return _mm512_loadu_ps(from); }
inline __m512 load(const uint16_t* from) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

// e^x to 2 ulp: the polynomial of fastExp in kernels/element.h. Below -104 it is 0, NaN stays NaN.
inline __m512 exponential(__m512 given) {
  const __m512 x = _mm512_max_ps(_mm512_set1_ps(-104.5f), given);
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504088896341f)), 0x08);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.9875691500e-4f);
  constexpr float coefficients[] = {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f,
                                    5.0000001201e-1f};
  for (const float c : coefficients) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
  p = _mm512_add_ps(_mm512_fmadd_ps(_mm512_mul_ps(p, r), r, r), _mm512_set1_ps(1));
  return _mm512_scalef_ps(p, n);
}

// Lanes whose index `first + lane` lies in [begin, end).
inline __mmask16 within(int64_t first, int64_t begin, int64_t end) {
  const int64_t low = larger(begin - first, 0), high = smaller(end - first, lanes);
  return high <= low ? 0 : static_cast<__mmask16>((0xffffu >> (lanes - (high - low))) << low);
}

}  // namespace

}  // namespace bt::avx512
