#include "kernels/cached_attention_avx512.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernels/vector_avx512.h"

namespace bt::avx512 {

namespace {

constexpr int64_t block = 16;  // keys
constexpr int64_t tileBlocks = 4, tileVectors = 4;

// scores (rows, blocks of 16 keys) of queries against up to 4 blocks, one sum a lane, along headDim.
template <typename T, int rows, int count>
void scoreTile(int64_t headDim, const T* const* queries, const T* const* keys, float* scores, int64_t width) {
  __m512 sum[rows][count];
  for (int r = 0; r < rows; ++r) {
    for (int b = 0; b < count; ++b) sum[r][b] = _mm512_setzero_ps();
  }
  for (int64_t i = 0; i < headDim; i += depth<T>) {
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
      for (int b = 0; b < count; ++b) sum[r][b] = multiplyAdd(sum[r][b], queries[r] + i, keys[b] + i * block);
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int b = 0; b < count; ++b) _mm512_storeu_ps(scores + r * width + b * block, sum[r][b]);
  }
}

// sums (rows, 16 vectors) of values under probabilities p, one sum a lane, along the keys.
template <typename T, int rows, int vectors>
void valueTile(int64_t blocks, int64_t headDim, const T* p, int64_t width, const T* const* values, int64_t column,
               float* sums) {
  __m512 sum[rows][vectors];
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) sum[r][v] = _mm512_setzero_ps();
  }
  for (int64_t b = 0; b < blocks; ++b) {
    const T* from = values[b] + column * depth<T>;
    for (int64_t i = 0; i < block; i += depth<T>) {
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
          sum[r][v] = multiplyAdd(sum[r][v], p + r * width + b * block + i, from + i * headDim + v * block * depth<T>);
        }
      }
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) _mm512_storeu_ps(sums + r * headDim + column + v * block, sum[r][v]);
  }
}

template <typename T>
using ScoreTile = void (*)(int64_t, const T* const*, const T* const*, float*, int64_t);
template <typename T, int rows>
constexpr ScoreTile<T> scoreTilesOf[tileBlocks] = {scoreTile<T, rows, 1>, scoreTile<T, rows, 2>, scoreTile<T, rows, 3>,
                                                   scoreTile<T, rows, 4>};
template <typename T>
constexpr const ScoreTile<T>* scoreTiles[cachedRows] = {scoreTilesOf<T, 1>, scoreTilesOf<T, 2>, scoreTilesOf<T, 3>,
                                                        scoreTilesOf<T, 4>, scoreTilesOf<T, 5>, scoreTilesOf<T, 6>};

template <typename T>
using ValueTile = void (*)(int64_t, int64_t, const T*, int64_t, const T* const*, int64_t, float*);
template <typename T, int rows>
constexpr ValueTile<T> valueTilesOf[tileVectors] = {valueTile<T, rows, 1>, valueTile<T, rows, 2>, valueTile<T, rows, 3>,
                                                    valueTile<T, rows, 4>};
template <typename T>
constexpr const ValueTile<T>* valueTiles[cachedRows] = {valueTilesOf<T, 1>, valueTilesOf<T, 2>, valueTilesOf<T, 3>,
                                                        valueTilesOf<T, 4>, valueTilesOf<T, 5>, valueTilesOf<T, 6>};

// p = exp(scale (s - max)) on [begin, end) of `count` scores, 0 elsewhere; returns the sum.
template <typename T>
float softmaxRow(T* p, const float* s, int64_t count, int64_t begin, int64_t end, float scale) {
  __m512 highest = _mm512_set1_ps(-INFINITY);
  for (int64_t j = 0; j < count; j += block) {
    highest = _mm512_mask_max_ps(highest, within(j, begin, end), highest, _mm512_loadu_ps(s + j));
  }
  const float most = _mm512_reduce_max_ps(highest);
  const __m512 factor = _mm512_set1_ps(scale), offset = _mm512_set1_ps(-most * scale);
  __m512 sum = _mm512_setzero_ps();
  for (int64_t j = 0; j < count; j += block) {
    const __m512 e = exponential(_mm512_fmadd_ps(_mm512_loadu_ps(s + j), factor, offset));
    const __m512 seen = _mm512_maskz_mov_ps(within(j, begin, end), e);
    sum = _mm512_add_ps(sum, seen);
    store(p + j, seen);
  }
  return _mm512_reduce_add_ps(sum);
}

inline int64_t padded(int64_t bytes) { return (bytes + 63) / 64 * 64; }

constexpr int64_t widestHead = 256;

}  // namespace

template <typename T>
int64_t cachedScratchBytes(int64_t blocks) {
  const int64_t keys = blocks * block;
  return padded(cachedRows * keys * 4) + padded(cachedRows * keys * static_cast<int64_t>(sizeof(T))) +
         padded(2 * blocks * static_cast<int64_t>(sizeof(void*)));
}

template <typename T>
void attendCached(const CachedQueries<T>& queries, const T* cache, int64_t stride, const int32_t* table,
                  void* scratch) {
  const int64_t d = queries.headDim, blocks = queries.blocks, width = blocks * block, rows = queries.rows;
  char* at = static_cast<char*>(scratch);
  float* scores = reinterpret_cast<float*>(at);
  at += padded(cachedRows * width * 4);
  T* p = reinterpret_cast<T*>(at);
  at += padded(cachedRows * width * static_cast<int64_t>(sizeof(T)));
  const T** keys = reinterpret_cast<const T**>(at);
  const T** values = keys + blocks;
  for (int64_t b = 0; b < blocks; ++b) {
    keys[b] = cache + table[queries.firstBlock + b] * stride;
    values[b] = keys[b] + block * d;
  }
  for (int64_t b = 0; b < blocks; b += tileBlocks) {
    const int64_t count = smaller(tileBlocks, blocks - b);
    scoreTiles<T>[rows - 1][count - 1](d, queries.head, keys + b, scores + b * block, width);
  }
  const float scale = 1.0f / sqrtf(static_cast<float>(d));
  float totals[cachedRows];
  const int64_t offset = queries.firstBlock * block;
  for (int64_t r = 0; r < rows; ++r) {
    totals[r] =
        softmaxRow(p + r * width, scores + r * width, width, queries.begin[r] - offset, queries.end[r] - offset, scale);
  }
  alignas(64) float sums[cachedRows * widestHead];
  for (int64_t column = 0; column < d; column += tileVectors * block) {
    const int64_t vectors = smaller(tileVectors, (d - column) / block);
    valueTiles<T>[rows - 1][vectors - 1](blocks, d, p, width, values, column, sums);
  }
  for (int64_t r = 0; r < rows; ++r) {
    const __m512 inverse = _mm512_set1_ps(1.0f / totals[r]);
    for (int64_t i = 0; i < d; i += block) {
      store(queries.out[r] + i, _mm512_mul_ps(_mm512_loadu_ps(sums + r * d + i), inverse));
    }
  }
}

#define BT_INSTANTIATE(T)                          \
  template int64_t cachedScratchBytes<T>(int64_t); \
  template void attendCached<T>(const CachedQueries<T>&, const T*, int64_t, const int32_t*, void*);
BT_INSTANTIATE(float)
BT_INSTANTIATE(uint16_t)

}  // namespace bt::avx512
