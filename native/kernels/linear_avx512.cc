#include <immintrin.h>
#include <string.h>

#include "kernels/linear_tiles.h"

namespace bt::avx512 {

namespace {

struct Vectors {
  using Floats = __m512;
  static inline Floats zero() { return _mm512_setzero_ps(); }
  static inline Floats load(const float* from) { return _mm512_loadu_ps(from); }
  static inline void store(float* to, Floats x) { _mm512_storeu_ps(to, x); }
};

struct Fp32Product {
  using Weights = __m512;
  using Input = __m512;
  static inline Weights weights(const uint8_t* from) { return _mm512_load_ps(from); }
  static inline Input input(const uint8_t* from) { return _mm512_set1_ps(*reinterpret_cast<const float*>(from)); }
  static inline __m512 add(__m512 sum, Input x, Weights w) { return _mm512_fmadd_ps(x, w, sum); }
};

inline __m512i pairOf(const uint8_t* from) {
  int32_t pair;
  memcpy(&pair, from, sizeof pair);
  return _mm512_set1_epi32(pair);
}

struct Wide {
  __m512 first, second;
};
inline Wide widen(__m512i pairs) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)),
          _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int32_t>(0xffff0000u))))};
}

struct Bf16WideProduct {
  using Weights = Wide;
  using Input = Wide;
  static inline Weights weights(const uint8_t* from) { return widen(_mm512_load_si512(from)); }
  static inline Input input(const uint8_t* from) { return widen(pairOf(from)); }
  static inline __m512 add(__m512 sum, const Input& x, const Weights& w) {
    return _mm512_fmadd_ps(x.second, w.second, _mm512_fmadd_ps(x.first, w.first, sum));
  }
};

struct Bf16Product {
  using Weights = __m512bh;
  using Input = __m512bh;
  static inline Weights weights(const uint8_t* from) { return reinterpret_cast<__m512bh>(_mm512_load_si512(from)); }
  static inline Input input(const uint8_t* from) { return reinterpret_cast<__m512bh>(pairOf(from)); }
  static inline __m512 add(__m512 sum, Input x, Weights w) { return _mm512_dpbf16_ps(sum, x, w); }
};

}  // namespace

TileSet fp32Tiles() { return Table<FloatTiles<Vectors, Fp32Product>, 6, 4>::set(); }
TileSet bf16Tiles() { return Table<FloatTiles<Vectors, Bf16WideProduct>, 6, 2>::set(); }
TileSet bf16ProductTiles() { return Table<FloatTiles<Vectors, Bf16Product>, 6, 4>::set(); }

}  // namespace bt::avx512
