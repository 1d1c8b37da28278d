#include <immintrin.h>
#include <string.h>

#include "kernels/linear_tiles.h"

namespace bt::avx2 {

namespace {

struct Pair {
  __m256 low, high;
};

struct Vectors {
  using Floats = Pair;
  static inline Floats zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static inline Floats load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
  static inline void store(float* to, const Floats& x) {
    _mm256_storeu_ps(to, x.low);
    _mm256_storeu_ps(to + 8, x.high);
  }
  static inline Floats broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static inline Floats halves(const uint8_t* from) {
    const __m128i* at = reinterpret_cast<const __m128i*>(from);
    return {_mm256_cvtph_ps(_mm_load_si128(at)), _mm256_cvtph_ps(_mm_load_si128(at + 1))};
  }
  static inline Floats times(const Floats& a, const Floats& b) {
    return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
  }
  static inline Floats add(const Floats& sum, const Floats& a, const Floats& b) {
    return {_mm256_fmadd_ps(a.low, b.low, sum.low), _mm256_fmadd_ps(a.high, b.high, sum.high)};
  }
};

struct Fp32Product {
  using Weights = Pair;
  using Input = __m256;
  static inline Weights weights(const uint8_t* from) { return Vectors::load(reinterpret_cast<const float*>(from)); }
  static inline Input input(const uint8_t* from) { return _mm256_set1_ps(*reinterpret_cast<const float*>(from)); }
  static inline Pair add(const Pair& sum, Input x, const Weights& w) {
    return {_mm256_fmadd_ps(x, w.low, sum.low), _mm256_fmadd_ps(x, w.high, sum.high)};
  }
};

struct Bf16WideProduct {
  struct Weights {
    __m256i low, high;
  };
  struct Input {
    __m256 first, second;
  };
  static inline __m256 firsts(__m256i pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
  static inline __m256 seconds(__m256i pairs) {
    return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int32_t>(0xffff0000u))));
  }
  static inline Weights weights(const uint8_t* from) {
    const __m256i* at = reinterpret_cast<const __m256i*>(from);
    return {_mm256_load_si256(at), _mm256_load_si256(at + 1)};
  }
  static inline Input input(const uint8_t* from) {
    int32_t pair;
    memcpy(&pair, from, sizeof pair);
    const __m256i all = _mm256_set1_epi32(pair);
    return {firsts(all), seconds(all)};
  }
  static inline Pair add(const Pair& sum, const Input& x, const Weights& w) {
    return {_mm256_fmadd_ps(x.second, seconds(w.low), _mm256_fmadd_ps(x.first, firsts(w.low), sum.low)),
            _mm256_fmadd_ps(x.second, seconds(w.high), _mm256_fmadd_ps(x.first, firsts(w.high), sum.high))};
  }
};

// In 16 bits: products of two bytes that are summed in 8 bits by 8 (vpmaddubsw) would not fit.
struct Bytes {
  struct Weights {
    __m256i even[2], odd[2];
  };
  struct Input {
    __m256i even, odd;
  };
  struct Sums {
    __m256i of[2];
  };
  static inline Sums start(int32_t x) { return {{_mm256_set1_epi32(x), _mm256_set1_epi32(x)}}; }
  static inline Pair floats(const Sums& sums) {
    return {_mm256_cvtepi32_ps(sums.of[0]), _mm256_cvtepi32_ps(sums.of[1])};
  }
  static inline void open(__m256i bytes, __m256i& even, __m256i& odd) {
    even = _mm256_and_si256(bytes, _mm256_set1_epi16(255));
    odd = _mm256_srli_epi16(bytes, 8);
  }
  static inline Weights weights(const uint8_t* from) {
    Weights to;
    for (int half = 0; half < 2; ++half) {
      open(_mm256_load_si256(reinterpret_cast<const __m256i*>(from) + half), to.even[half], to.odd[half]);
    }
    return to;
  }
  static inline void nibbles(const uint8_t* from, Weights& low, Weights& high) {
    const __m256i mask = _mm256_set1_epi8(15);
    for (int half = 0; half < 2; ++half) {
      const __m256i both = _mm256_load_si256(reinterpret_cast<const __m256i*>(from) + half);
      open(_mm256_and_si256(both, mask), low.even[half], low.odd[half]);
      open(_mm256_and_si256(_mm256_srli_epi16(both, 4), mask), high.even[half], high.odd[half]);
    }
  }
  static inline Input input(const int8_t* from) {
    int32_t four;
    memcpy(&four, from, sizeof four);
    const __m256i all = _mm256_set1_epi32(four);
    return {_mm256_srai_epi16(_mm256_slli_epi16(all, 8), 8), _mm256_srai_epi16(all, 8)};
  }
  static inline Sums add(const Sums& sums, const Input& x, const Weights& w) {
    Sums to;
    for (int half = 0; half < 2; ++half) {
      const __m256i even = _mm256_madd_epi16(x.even, w.even[half]), odd = _mm256_madd_epi16(x.odd, w.odd[half]);
      to.of[half] = _mm256_add_epi32(sums.of[half], _mm256_add_epi32(even, odd));
    }
    return to;
  }
};

}  // namespace

TileSet fp32Tiles() { return Table<FloatTiles<Vectors, Fp32Product>, 6, 1>::set(); }
TileSet bf16Tiles() { return Table<FloatTiles<Vectors, Bf16WideProduct>, 4, 1>::set(); }
TileSet int8Tiles() { return Table<BlockTiles<Vectors, Bytes, false>, 2, 1>::set(); }
TileSet int4Tiles() { return Table<BlockTiles<Vectors, Bytes, true>, 2, 1>::set(); }

}  // namespace bt::avx2
