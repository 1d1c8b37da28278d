#include "kernels/heads.h"

#include <algorithm>
#include <vector>

#include "kernels/parallel.h"

namespace bt {

namespace {

// to = from rotated by `direction` (+1 forward, -1 back); both one head of one token.
template <typename T>
BT_INLINE void rotateHead(T* to, const T* from, const float* cos, const float* sin, int64_t half, float direction) {
#pragma omp simd
  for (int64_t i = 0; i < half; ++i) {
    const float first = widen(from[i]), second = widen(from[half + i]), s = sin[i] * direction;
    to[i] = narrowTo<T>(first * cos[i] - second * s);
    to[half + i] = narrowTo<T>(second * cos[i] + first * s);
  }
}

// Where each token stands: calls visit(token, place in its sequence, position for the rotary embedding, first token of
// its sequence, length of its sequence).
template <typename Visit>
BT_INLINE void eachToken(const AttentionShape& shape, int64_t begin, int64_t end, Visit visit) {
  int64_t sequence =
      std::upper_bound(shape.cuSeqlens, shape.cuSeqlens + shape.sequences + 1, begin) - shape.cuSeqlens - 1;
  for (int64_t token = begin; token < end; ++token) {
    while (token >= shape.cuSeqlens[sequence + 1]) ++sequence;
    const int64_t start = shape.cuSeqlens[sequence];
    visit(token, token - start, token - start + shape.before(sequence), start, shape.cuSeqlens[sequence + 1] - start);
  }
}

template <typename T>
BT_INLINE void splitRows(const AttentionShape& shape, const T* qkv, const float* cos, const float* sin, T* q, T* k,
                         T* v, int64_t begin, int64_t end) {
  const int64_t d = shape.headDim, half = d / 2, heads = shape.heads, kvHeads = shape.kvHeads;
  eachToken(shape, begin, end, [&](int64_t token, int64_t place, int64_t position, int64_t start, int64_t length) {
    const T* row = qkv + token * (heads + 2 * kvHeads) * d;
    const float *c = cos + position * half, *s = sin + position * half;
    for (int64_t h = 0; h < heads; ++h) {
      rotateHead(q + (start * heads + h * length + place) * d, row + h * d, c, s, half, 1.0f);
    }
    for (int64_t h = 0; h < kvHeads; ++h) {
      const int64_t to = (start * kvHeads + h * length + place) * d;
      rotateHead(k + to, row + (heads + h) * d, c, s, half, 1.0f);
      std::copy_n(row + (heads + kvHeads + h) * d, d, v + to);
    }
  });
}

template <typename T>
BT_INLINE void joinRows(const AttentionShape& shape, const T* dq, const T* dk, const T* dv, const float* cos,
                        const float* sin, T* dqkv, int64_t begin, int64_t end) {
  const int64_t d = shape.headDim, half = d / 2, heads = shape.heads, kvHeads = shape.kvHeads;
  eachToken(shape, begin, end, [&](int64_t token, int64_t place, int64_t position, int64_t start, int64_t length) {
    T* row = dqkv + token * (heads + 2 * kvHeads) * d;
    const float *c = cos + position * half, *s = sin + position * half;
    for (int64_t h = 0; h < heads; ++h) {
      rotateHead(row + h * d, dq + (start * heads + h * length + place) * d, c, s, half, -1.0f);
    }
    for (int64_t h = 0; h < kvHeads; ++h) {
      const int64_t from = (start * kvHeads + h * length + place) * d;
      rotateHead(row + (heads + h) * d, dk + from, c, s, half, -1.0f);
      std::copy_n(dv + from, d, row + (heads + kvHeads + h) * d);
    }
  });
}

#define BT_RANGES(T)                                                                                                 \
  BT_DISPATCH void splitRange(const AttentionShape& a, const T* x, const float* c, const float* s, T* q, T* k, T* v, \
                              int64_t b, int64_t e) {                                                                \
    splitRows(a, x, c, s, q, k, v, b, e);                                                                            \
  }                                                                                                                  \
  BT_DISPATCH void joinRange(const AttentionShape& a, const T* q, const T* k, const T* v, const float* c,            \
                             const float* s, T* x, int64_t b, int64_t e) {                                           \
    joinRows(a, q, k, v, c, s, x, b, e);                                                                             \
  }
BT_RANGES(float)
BT_RANGES(Bf16)
BT_RANGES(Fp16)

// Visits each (element of qkv, its head-major places) as the definition says; part 0: q, 1: k, 2: v.
template <typename Visit>
void eachElementNaive(const AttentionShape& shape, Visit visit) {
  const int64_t d = shape.headDim, width = (shape.heads + 2 * shape.kvHeads) * d;
  for (int64_t s = 0; s < shape.sequences; ++s) {
    const int64_t begin = shape.cuSeqlens[s], length = shape.cuSeqlens[s + 1] - begin;
    for (int64_t t = 0; t < length; ++t) {
      for (int64_t column = 0; column < width; ++column) {
        int64_t head = column / d, part = 0, heads = shape.heads;
        if (head >= shape.heads) {
          head -= shape.heads;
          heads = shape.kvHeads;
          part = 1 + head / shape.kvHeads;
          head %= shape.kvHeads;
        }
        visit(part, (begin + t) * width + column, (begin * heads + head * length + t) * d, column % d,
              t + shape.before(s));
      }
    }
  }
}

}  // namespace

template <typename T>
void splitHeads(const AttentionShape& shape, const T* qkv, const float* cos, const float* sin, T* q, T* k, T* v) {
  parallelRows(shape.tokens(), [&](int64_t b, int64_t e) { splitRange(shape, qkv, cos, sin, q, k, v, b, e); });
}

template <typename T>
void joinHeads(const AttentionShape& shape, const T* dq, const T* dk, const T* dv, const float* cos, const float* sin,
               T* dqkv) {
  parallelRows(shape.tokens(), [&](int64_t b, int64_t e) { joinRange(shape, dq, dk, dv, cos, sin, dqkv, b, e); });
}

template <typename T>
void splitHeadsNaive(const AttentionShape& shape, const T* qkv, const float* cos, const float* sin, T* q, T* k, T* v) {
  const int64_t half = shape.headDim / 2;
  T* const parts[] = {q, k, v};
  eachElementNaive(shape, [&](int64_t part, int64_t from, int64_t to, int64_t i, int64_t position) {
    float value = widen(qkv[from]);
    if (part < 2) {
      const float c = cos[position * half + i % half], s = sin[position * half + i % half];
      value = i < half ? value * c - widen(qkv[from + half]) * s : value * c + widen(qkv[from - half]) * s;
    }
    parts[part][to + i] = narrowTo<T>(value);
  });
}

template <typename T>
void joinHeadsNaive(const AttentionShape& shape, const T* dq, const T* dk, const T* dv, const float* cos,
                    const float* sin, T* dqkv) {
  const int64_t half = shape.headDim / 2;
  const T* const parts[] = {dq, dk, dv};
  eachElementNaive(shape, [&](int64_t part, int64_t to, int64_t from, int64_t i, int64_t position) {
    const T* grad = parts[part] + from;
    float value = widen(grad[i]);
    if (part < 2) {
      const float c = cos[position * half + i % half], s = sin[position * half + i % half];
      value = i < half ? value * c + widen(grad[i + half]) * s : value * c - widen(grad[i - half]) * s;
    }
    dqkv[to] = narrowTo<T>(value);
  });
}

#define BT_INSTANTIATE(T)                                                                                          \
  template void splitHeads<T>(const AttentionShape&, const T*, const float*, const float*, T*, T*, T*);            \
  template void splitHeadsNaive<T>(const AttentionShape&, const T*, const float*, const float*, T*, T*, T*);       \
  template void joinHeads<T>(const AttentionShape&, const T*, const T*, const T*, const float*, const float*, T*); \
  template void joinHeadsNaive<T>(const AttentionShape&, const T*, const T*, const T*, const float*, const float*, T*);
BT_INSTANTIATE(float)
BT_INSTANTIATE(Bf16)
BT_INSTANTIATE(Fp16)

}  // namespace bt
