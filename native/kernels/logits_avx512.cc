#include "kernels/logits_avx512.h"

#include <immintrin.h>

namespace bt::avx512 {

namespace {

// Rows of hidden states and of weights that one pass holds sums of.
constexpr int blockRows = 4, blockWeights = 4;
constexpr int64_t lanes = 32;

inline __m512bh load(const uint16_t* from) { return reinterpret_cast<__m512bh>(_mm512_loadu_si512(from)); }
inline __m512bh loadFirst(const uint16_t* from, __mmask32 which) {
  return reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi16(which, from));
}

// Sums of the lanes of four vectors.
inline __m128 total(const __m512* sums) {
  const __m512 a = _mm512_add_ps(_mm512_unpacklo_ps(sums[0], sums[1]), _mm512_unpackhi_ps(sums[0], sums[1]));
  const __m512 b = _mm512_add_ps(_mm512_unpacklo_ps(sums[2], sums[3]), _mm512_unpackhi_ps(sums[2], sums[3]));
  const __m512 each = _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
  const __m128 low = _mm_add_ps(_mm512_castps512_ps128(each), _mm512_extractf32x4_ps(each, 1));
  return _mm_add_ps(low, _mm_add_ps(_mm512_extractf32x4_ps(each, 2), _mm512_extractf32x4_ps(each, 3)));
}

// Where fewer rows are left, the last one stands for those that are missing: every sum is taken by the same code.
inline void block(const uint16_t* const* hidden, const uint16_t* const* weight, int64_t width, __m128* totals) {
  __m512 sums[blockRows][blockWeights] = {};
  int64_t at = 0;
  for (; at + lanes <= width; at += lanes) {
    const __m512bh w[blockWeights] = {load(weight[0] + at), load(weight[1] + at), load(weight[2] + at),
                                      load(weight[3] + at)};
#pragma GCC unroll 4
    for (int r = 0; r < blockRows; ++r) {
      const __m512bh h = load(hidden[r] + at);
#pragma GCC unroll 4
      for (int v = 0; v < blockWeights; ++v) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], h, w[v]);
    }
  }
  if (at < width) {
    const auto which = static_cast<__mmask32>((uint32_t{1} << (width - at)) - 1);
#pragma GCC unroll 4
    for (int r = 0; r < blockRows; ++r) {
      const __m512bh h = loadFirst(hidden[r] + at, which);
#pragma GCC unroll 4
      for (int v = 0; v < blockWeights; ++v) {
        sums[r][v] = _mm512_dpbf16_ps(sums[r][v], h, loadFirst(weight[v] + at, which));
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < blockRows; ++r) totals[r] = total(sums[r]);
}

}  // namespace

void bf16Logits(const uint16_t* hidden, const uint16_t* weight, float* out, int64_t rows, int64_t begin, int64_t end,
                int64_t width, int64_t outWidth) {
  for (int64_t v = begin; v < end; v += blockWeights) {
    const uint16_t* weights[blockWeights];
    for (int64_t i = 0; i < blockWeights; ++i) weights[i] = weight + (v + i < end ? v + i : end - 1) * width;
    const auto columns = static_cast<__mmask8>(end - v >= blockWeights ? 0xf : (1 << (end - v)) - 1);
    for (int64_t r = 0; r < rows; r += blockRows) {
      const uint16_t* hiddens[blockRows];
      for (int64_t i = 0; i < blockRows; ++i) hiddens[i] = hidden + (r + i < rows ? r + i : rows - 1) * width;
      __m128 totals[blockRows];
      block(hiddens, weights, width, totals);
      for (int64_t i = 0; i < blockRows && r + i < rows; ++i) {
        _mm_mask_storeu_ps(out + (r + i) * outWidth + v, columns, totals[i]);
      }
    }
  }
}

}  // namespace bt::avx512
