#include "kernels/attention_avx512.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernels/vector_avx512.h"

namespace bt::avx512 {

namespace {

constexpr int64_t stripRows = 6, tileColumns = 4 * lanes;

inline int64_t keysOf(const Sequence& sequence) { return sequence.prefix + sequence.length; }

// ---- Products

// c (+)= a b of a tile that stays in registers.   a: (rows, steps depth), lda apart   c: (rows, 16 vectors), ldc apart
// b: (steps, columns, depth), ldb elements from a step to the next
template <typename T, int rows, int vectors>
void tile(int64_t steps, const T* a, int64_t lda, const T* b, int64_t ldb, float* c, int64_t ldc, bool add) {
  __m512 sum[rows][vectors];
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) sum[r][v] = add ? _mm512_loadu_ps(c + r * ldc + v * lanes) : _mm512_setzero_ps();
  }
  for (int64_t s = 0; s < steps; ++s) {
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        sum[r][v] = multiplyAdd(sum[r][v], a + r * lda + s * depth<T>, b + s * ldb + v * lanes * depth<T>);
      }
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) _mm512_storeu_ps(c + r * ldc + v * lanes, sum[r][v]);
  }
}

template <typename T>
using Tile = void (*)(int64_t, const T*, int64_t, const T*, int64_t, float*, int64_t, bool);
template <typename T, int rows>
constexpr Tile<T> ofRows[4] = {tile<T, rows, 1>, tile<T, rows, 2>, tile<T, rows, 3>, tile<T, rows, 4>};
template <typename T>
constexpr const Tile<T>* tiles[stripRows] = {ofRows<T, 1>, ofRows<T, 2>, ofRows<T, 3>,
                                             ofRows<T, 4>, ofRows<T, 5>, ofRows<T, 6>};

// As tile(), for any number of rows and any multiple of 16 columns.
template <typename T>
void product(int64_t rows, int64_t columns, int64_t steps, const T* a, int64_t lda, const T* b, int64_t ldb, float* c,
             int64_t ldc, bool add) {
  for (int64_t column = 0; column < columns; column += tileColumns) {
    const int64_t vectors = smaller(columns - column, tileColumns) / lanes;
    for (int64_t row = 0; row < rows; row += stripRows) {
      tiles<T>[smaller(rows - row, stripRows) - 1][vectors - 1](steps, a + row * lda, lda, b + column * depth<T>, ldb,
                                                                c + row * ldc + column, ldc, add);
    }
  }
}

// ---- Moving

// to[j][i] = from[i][j] of 16 x 16 words of 32 bits; rows of `from` past `rows` count as zeros. Strides in words.
void transpose(const uint32_t* from, int64_t fromStride, int64_t rows, uint32_t* to, int64_t toStride) {
  __m512i x[16], y[16];
  for (int i = 0; i < 16; ++i) x[i] = i < rows ? _mm512_loadu_si512(from + i * fromStride) : _mm512_setzero_si512();
  for (int i = 0; i < 8; ++i) {
    y[2 * i] = _mm512_unpacklo_epi32(x[2 * i], x[2 * i + 1]);
    y[2 * i + 1] = _mm512_unpackhi_epi32(x[2 * i], x[2 * i + 1]);
  }
  for (int i = 0; i < 4; ++i) {
    x[4 * i] = _mm512_unpacklo_epi64(y[4 * i], y[4 * i + 2]);
    x[4 * i + 1] = _mm512_unpackhi_epi64(y[4 * i], y[4 * i + 2]);
    x[4 * i + 2] = _mm512_unpacklo_epi64(y[4 * i + 1], y[4 * i + 3]);
    x[4 * i + 3] = _mm512_unpackhi_epi64(y[4 * i + 1], y[4 * i + 3]);
  }
  // x[4 b + c] holds, in its 128-bit lane l, column 4 l + c of rows 4 b .. 4 b + 3.
  for (int c = 0; c < 4; ++c) {
    const __m512i low01 = _mm512_shuffle_i32x4(x[c], x[4 + c], 0x88),
                  high01 = _mm512_shuffle_i32x4(x[c], x[4 + c], 0xdd);
    const __m512i low23 = _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0x88);
    const __m512i high23 = _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0xdd);
    y[c] = _mm512_shuffle_i32x4(low01, low23, 0x88);
    y[8 + c] = _mm512_shuffle_i32x4(low01, low23, 0xdd);
    y[4 + c] = _mm512_shuffle_i32x4(high01, high23, 0x88);
    y[12 + c] = _mm512_shuffle_i32x4(high01, high23, 0xdd);
  }
  for (int i = 0; i < 16; ++i) _mm512_storeu_si512(to + i * toStride, y[i]);
}

// Rows (count, width) to the steps that multiply along `width`: (width / depth, columns, depth). Columns past `count`
// become zeros. columns: a multiple of 16.
template <typename T>
void packAcross(const T* from, int64_t stride, int64_t count, int64_t width, int64_t columns, T* to) {
  const int64_t words = width / depth<T>, unit = sizeof(uint32_t) / sizeof(T);
  for (int64_t column = 0; column < columns; column += lanes) {
    for (int64_t word = 0; word < words; word += lanes) {
      transpose(reinterpret_cast<const uint32_t*>(from + column * stride + word * unit), stride / unit, count - column,
                reinterpret_cast<uint32_t*>(to + (word * columns + column) * unit), columns);
    }
  }
}

// Rows (count, width) to the steps that multiply along the rows: (rows / depth, width, depth). Rows past `count`, up to
// `rows`, become zeros.
void packAlong(const float* from, int64_t stride, int64_t count, int64_t rows, int64_t width, float* to) {
  for (int64_t row = 0; row < count; ++row) memcpy(to + row * width, from + row * stride, width * sizeof(float));
  memset(to + count * width, 0, (rows - count) * width * sizeof(float));
}
void packAlong(const uint16_t* from, int64_t stride, int64_t count, int64_t rows, int64_t width, uint16_t* to) {
  for (int64_t row = 0; row < rows; row += 2) {
    const uint16_t *first = from + row * stride, *second = first + stride;
    for (int64_t i = 0; i < width; i += lanes) {
      const __m512i zero = _mm512_setzero_si512();
      const __m512i low =
          row < count ? _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(first + i))) : zero;
      const __m512i high = row + 1 < count
                               ? _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(second + i)))
                               : zero;
      _mm512_storeu_si512(to + row * width + 2 * i, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
  }
}

// Two rows of 16 side by side, as a step of products along the rows wants them.
inline void storePair(float* to, int64_t width, __m512 first, __m512 second) {
  store(to, first);
  store(to + width, second);
}
inline void storePair(uint16_t* to, int64_t, __m512 first, __m512 second) {
  const __m512i low = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(first)));
  const __m512i high = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(second)));
  _mm512_storeu_si512(to, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

inline float scaleOf(const Sequence& sequence) { return 1.0f / sqrtf(static_cast<float>(sequence.headDim)); }

// The first key that the query of that position sees.
inline int64_t firstKey(const Sequence& sequence, int64_t position) {
  return sequence.window > 0 ? larger(0, position - sequence.window + 1) : 0;
}

// ---- Forward

// p = exp(scale (s - max)) on [begin, end), 0 on the rest of [from, to); returns the sum.   s, p: rows of scores
template <typename T>
float softmaxRow(T* p, const float* s, int64_t from, int64_t to, int64_t begin, int64_t end, float scale,
                 float* logSumExp) {
  __m512 highest = _mm512_set1_ps(-INFINITY);
  for (int64_t j = from; j < to; j += lanes) {
    highest = _mm512_mask_max_ps(highest, within(j, begin, end), highest, _mm512_loadu_ps(s + j));
  }
  const float most = _mm512_reduce_max_ps(highest);
  const __m512 factor = _mm512_set1_ps(scale), offset = _mm512_set1_ps(-most * scale);
  __m512 sum = _mm512_setzero_ps();
  for (int64_t j = from; j < to; j += lanes) {
    const __m512 e = exponential(_mm512_fmadd_ps(_mm512_loadu_ps(s + j), factor, offset));
    const __m512 seen = _mm512_maskz_mov_ps(within(j, begin, end), e);
    sum = _mm512_add_ps(sum, seen);
    store(p + j, seen);
  }
  const float total = _mm512_reduce_add_ps(sum);
  *logSumExp = most * scale + logf(total);
  return total;
}

}  // namespace

template <typename T>
int64_t packedElements(const Sequence& sequence) {
  return 2 * roundUp(keysOf(sequence), lanes) * sequence.headDim;
}

template <typename T>
void packKeys(const Sequence& sequence, const T* k, const T* v, T* packed) {
  const int64_t d = sequence.headDim, columns = roundUp(keysOf(sequence), lanes);
  packAcross(k, d, keysOf(sequence), d, columns, packed);
  packAlong(v, d, keysOf(sequence), columns, d, packed + columns * d);
}

template <typename T>
void forward(const Sequence& sequence, const T* q, const T* packed, T* out, float* logSumExp, void* scratch) {
  const int64_t d = sequence.headDim, columns = roundUp(keysOf(sequence), lanes);
  const T *keys = packed, *values = packed + columns * d;
  const float scale = scaleOf(sequence);
  float* scores = static_cast<float*>(scratch);       // (strip, columns)
  float* wide = scores + stripRows * columns;         // (strip, d)
  T* p = reinterpret_cast<T*>(wide + stripRows * d);  // (strip, columns)
  float sums[stripRows];
  for (int64_t first = 0; first < sequence.length; first += stripRows) {
    const int64_t rows = smaller(stripRows, sequence.length - first);
    const int64_t position = sequence.prefix + first;
    const int64_t from = firstKey(sequence, position) / lanes * lanes, to = roundUp(position + rows, lanes);
    product(rows, to - from, d / depth<T>, q + first * d, d, keys + from * depth<T>, columns * depth<T>, scores + from,
            columns, false);
    for (int64_t r = 0; r < rows; ++r) {
      sums[r] = softmaxRow(p + r * columns, scores + r * columns, from, to, firstKey(sequence, position + r),
                           position + r + 1, scale, logSumExp + first + r);
    }
    product(rows, d, (to - from) / depth<T>, p + from, columns, values + from * d, d * depth<T>, wide, d, false);
    for (int64_t r = 0; r < rows; ++r) {
      const __m512 inverse = _mm512_set1_ps(1.0f / sums[r]);
      T* row = out + (first + r) * sequence.tokenWidth;
      for (int64_t i = 0; i < d; i += lanes) store(row + i, _mm512_mul_ps(_mm512_loadu_ps(wide + r * d + i), inverse));
    }
  }
}

// ---- Backward

namespace {

// What one block of up to 64 queries needs of its rows, and one sequence of its keys. In T but for gradients.
template <typename T>
struct Workspace {
  T* keysAcross;               // (d, keys): rows of products along the keys
  T *qAcross, *dOutAcross;     // (d / depth, 64, depth)
  T *qAlong, *dOutAlong;       // (64 / depth, d, depth)
  T *p, *ds;                   // (strip, 64)
  T* dsSteps;                  // (keys / depth, 64, depth)
  float *dk, *dv;              // (keys, d)
  float *scores, *gradScores;  // (strip, 64)
  float* dq;                   // (d, 64)
  float *logSumExp, *delta;    // (64)
  int64_t keys;                // rounded up to 16

  Workspace(const Sequence& sequence, void* memory) : keys(roundUp(keysOf(sequence), lanes)) {
    char* at = static_cast<char*>(memory);
    const int64_t d = sequence.headDim;
    take(at, keysAcross, d * keys);
    take(at, qAcross, tileColumns * d);
    take(at, dOutAcross, tileColumns * d);
    take(at, qAlong, tileColumns * d);
    take(at, dOutAlong, tileColumns * d);
    take(at, p, stripRows * tileColumns);
    take(at, ds, stripRows * tileColumns);
    take(at, dsSteps, keys * tileColumns);
    take(at, dk, keys * d);
    take(at, dv, keys * d);
    take(at, scores, stripRows * tileColumns);
    take(at, gradScores, stripRows * tileColumns);
    take(at, dq, d * tileColumns);
    take(at, logSumExp, tileColumns);
    take(at, delta, tileColumns);
    bytes = at - static_cast<char*>(memory);
  }
  int64_t bytes;

 private:
  template <typename Element>
  static void take(char*& at, Element*& place, int64_t count) {
    place = reinterpret_cast<Element*>(at);
    at += roundUp(count * static_cast<int64_t>(sizeof(Element)), 64);
  }
};

template <typename T>
float dot(const T* a, const T* b, int64_t count) {
  __m512 sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < count; i += lanes) sum = _mm512_fmadd_ps(load(a + i), load(b + i), sum);
  return _mm512_reduce_add_ps(sum);
}

// Packs queries [first, first + rows) of one head and what belongs to them.
template <typename T>
void openBlock(const Sequence& sequence, Workspace<T>& work, int64_t first, int64_t rows, const T* q, const T* out,
               const float* logSumExp, const T* dOut) {
  const int64_t d = sequence.headDim, width = sequence.tokenWidth;
  packAcross(q + first * d, d, rows, d, tileColumns, work.qAcross);
  packAlong(q + first * d, d, rows, tileColumns, d, work.qAlong);
  packAcross(dOut + first * width, width, rows, d, tileColumns, work.dOutAcross);
  packAlong(dOut + first * width, width, rows, tileColumns, d, work.dOutAlong);
  for (int64_t i = 0; i < tileColumns; ++i) {
    work.logSumExp[i] = i < rows ? logSumExp[first + i] : 0;
    work.delta[i] = i < rows ? dot(out + (first + i) * width, dOut + (first + i) * width, d) : 0;
  }
}

// Probabilities and gradients of scores of a strip of keys [key, key + rows) against the block's queries, which stand
// at [position, position + queries); those from column `from` on may see one of the keys.
template <typename T>
void stripGradients(const Sequence& sequence, Workspace<T>& work, int64_t position, int64_t queries, int64_t key,
                    int64_t rows, int64_t from) {
  const __m512 scale = _mm512_set1_ps(scaleOf(sequence));
  for (int64_t r = 0; r < rows; r += 2) {
    for (int64_t i = from; i < tileColumns; i += lanes) {
      __m512 ds[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
      for (int64_t n = 0; n < smaller(2, rows - r); ++n) {
        const int64_t at = (r + n) * tileColumns + i, seenUntil = key + r + n + sequence.window;
        const __mmask16 seen =
            within(position + i, key + r + n,
                   sequence.window > 0 ? smaller(position + queries, seenUntil) : position + queries);
        const __m512 e =
            exponential(_mm512_fmsub_ps(_mm512_loadu_ps(work.scores + at), scale, _mm512_loadu_ps(work.logSumExp + i)));
        const __m512 p = _mm512_maskz_mov_ps(seen, e);
        const __m512 apart = _mm512_sub_ps(_mm512_loadu_ps(work.gradScores + at), _mm512_loadu_ps(work.delta + i));
        ds[n] = _mm512_maskz_mul_ps(seen, _mm512_mul_ps(p, apart), scale);
        store(work.p + at, p);
        store(work.ds + at, ds[n]);
      }
      storePair(work.dsSteps + (key + r) * tileColumns + i * depth<T>, tileColumns, ds[0], ds[1]);
    }
  }
}

// Adds one block of queries to dk and dv, and writes its dq.
template <typename T>
void backwardBlock(const Sequence& sequence, Workspace<T>& work, int64_t first, int64_t queries, const T* k, const T* v,
                   T* dq) {
  const int64_t d = sequence.headDim, steps = d / depth<T>, ldb = tileColumns * depth<T>;
  const int64_t position = sequence.prefix + first, begin = firstKey(sequence, position) / lanes * lanes;
  const int64_t end = position + queries, padded = roundUp(end, lanes);
  for (int64_t key = begin; key < end; key += stripRows) {
    const int64_t rows = smaller(stripRows, end - key);
    // Queries before `key` see none of the strip.
    const int64_t from = larger(0, key - position) / lanes * lanes, columns = tileColumns - from;
    product(rows, columns, steps, k + key * d, d, work.qAcross + from * depth<T>, ldb, work.scores + from, tileColumns,
            false);
    product(rows, columns, steps, v + key * d, d, work.dOutAcross + from * depth<T>, ldb, work.gradScores + from,
            tileColumns, false);
    for (int64_t r = 0; r < roundUp(rows, 2) && from > 0; r += depth<T>) {
      memset(work.dsSteps + (key + r) * tileColumns, 0, from * depth<T> * sizeof(T));
    }
    stripGradients(sequence, work, position, queries, key, rows, from);
    product(rows, d, columns / depth<T>, work.p + from, tileColumns, work.dOutAlong + from * d, d * depth<T>,
            work.dv + key * d, d, true);
    product(rows, d, columns / depth<T>, work.ds + from, tileColumns, work.qAlong + from * d, d * depth<T>,
            work.dk + key * d, d, true);
  }
  const int64_t done = roundUp(end, 2);
  memset(work.dsSteps + done * tileColumns, 0, (padded - done) * tileColumns * sizeof(T));
  product(d, tileColumns, (padded - begin) / depth<T>, work.keysAcross + begin, work.keys,
          work.dsSteps + begin * tileColumns, ldb, work.dq, tileColumns, false);
  float turned[lanes * lanes];
  for (int64_t query = 0; query < queries; query += lanes) {
    for (int64_t i = 0; i < d; i += lanes) {
      transpose(reinterpret_cast<const uint32_t*>(work.dq + i * tileColumns + query), tileColumns, lanes,
                reinterpret_cast<uint32_t*>(turned), lanes);
      for (int64_t r = 0; r < smaller(lanes, queries - query); ++r) {
        store(dq + (first + query + r) * d + i, _mm512_loadu_ps(turned + r * lanes));
      }
    }
  }
}

// (length, d) to (d, keys), zeros past the end.
void turnKeys(const float* k, int64_t length, int64_t d, int64_t keys, float* to) {
  packAcross(k, d, length, d, keys, to);
}
void turnKeys(const uint16_t* k, int64_t length, int64_t d, int64_t keys, uint16_t* to) {
  for (int64_t key = 0; key < keys; key += 2) {
    for (int64_t i = 0; i < d; ++i) {
      to[i * keys + key] = key < length ? k[key * d + i] : 0;
      to[i * keys + key + 1] = key + 1 < length ? k[(key + 1) * d + i] : 0;
    }
  }
}

}  // namespace

template <typename T>
int64_t scratchBytes(const Sequence& sequence) {
  const int64_t columns = roundUp(keysOf(sequence), lanes);
  const int64_t forward = stripRows * ((columns + sequence.headDim) * 4 + columns * static_cast<int64_t>(sizeof(T)));
  return larger(forward, Workspace<T>(sequence, nullptr).bytes);
}

template <typename T>
void backward(const Sequence& sequence, int64_t group, const T* q, const T* k, const T* v, const T* out,
              const float* logSumExp, const T* dOut, T* dq, const KeyGradients<T>& gradients, void* scratch) {
  const int64_t d = sequence.headDim, length = sequence.length, cells = keysOf(sequence) * d;
  Workspace<T> work(sequence, scratch);
  turnKeys(k, keysOf(sequence), d, work.keys, work.keysAcross);
  memset(work.dk, 0, cells * sizeof(float));
  memset(work.dv, 0, cells * sizeof(float));
  for (int64_t head = 0; head < group; ++head) {
    const int64_t offset = head * length * d;
    for (int64_t first = 0; first < length; first += tileColumns) {
      const int64_t queries = smaller(tileColumns, length - first);
      openBlock(sequence, work, first, queries, q + offset, out + head * d, logSumExp + head * length, dOut + head * d);
      backwardBlock(sequence, work, first, queries, k, v, dq + offset);
    }
  }
  const int64_t apart = gradients.apart * d;
  if (apart > 0) {
    memcpy(gradients.kApart, work.dk, apart * sizeof(float));
    memcpy(gradients.vApart, work.dv, apart * sizeof(float));
  }
  for (int64_t i = apart; i < cells; i += lanes) {
    store(gradients.k + i - apart, _mm512_loadu_ps(work.dk + i));
    store(gradients.v + i - apart, _mm512_loadu_ps(work.dv + i));
  }
}

#define BT_INSTANTIATE(T)                                                                                             \
  template int64_t packedElements<T>(const Sequence&);                                                                \
  template int64_t scratchBytes<T>(const Sequence&);                                                                  \
  template void packKeys<T>(const Sequence&, const T*, const T*, T*);                                                 \
  template void forward<T>(const Sequence&, const T*, const T*, T*, float*, void*);                                   \
  template void backward<T>(const Sequence&, int64_t, const T*, const T*, const T*, const T*, const float*, const T*, \
                            T*, const KeyGradients<T>&, void*);
BT_INSTANTIATE(float)
BT_INSTANTIATE(uint16_t)

}  // namespace bt::avx512
