#include <immintrin.h>
#include <string.h>

#include "kernels/linear_tiles.h"

namespace bt::avx512vnni {

namespace {

struct Vectors {
  using Floats = __m512;
  static inline Floats zero() { return _mm512_setzero_ps(); }
  static inline Floats load(const float* from) { return _mm512_loadu_ps(from); }
  static inline void store(float* to, Floats x) { _mm512_storeu_ps(to, x); }
  static inline Floats broadcast(float x) { return _mm512_set1_ps(x); }
  static inline Floats halves(const uint8_t* from) {
    return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static inline Floats times(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static inline Floats add(Floats sum, Floats a, Floats b) { return _mm512_fmadd_ps(a, b, sum); }
};

struct Bytes {
  using Sums = __m512i;
  using Weights = __m512i;
  using Input = __m512i;
  static inline Sums start(int32_t x) { return _mm512_set1_epi32(x); }
  static inline __m512 floats(Sums sums) { return _mm512_cvtepi32_ps(sums); }
  static inline Weights weights(const uint8_t* from) { return _mm512_load_si512(from); }
  static inline void nibbles(const uint8_t* from, Weights& low, Weights& high) {
    const __m512i both = _mm512_load_si512(from), mask = _mm512_set1_epi8(15);
    low = _mm512_and_si512(both, mask);
    high = _mm512_and_si512(_mm512_srli_epi16(both, 4), mask);
  }
  static inline Input input(const int8_t* from) {
    int32_t four;
    memcpy(&four, from, sizeof four);
    return _mm512_set1_epi32(four);
  }
  static inline Sums add(Sums sums, Input x, Weights w) { return _mm512_dpbusd_epi32(sums, w, x); }
};

}  // namespace

TileSet int8Tiles() { return Table<BlockTiles<Vectors, Bytes, false>, 6, 2>::set(); }
TileSet int4Tiles() { return Table<BlockTiles<Vectors, Bytes, true>, 6, 2>::set(); }

}  // namespace bt::avx512vnni
