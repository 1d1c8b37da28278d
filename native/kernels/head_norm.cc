#include <algorithm>
#include <cmath>

#include "kernels/heads.h"
#include "kernels/parallel.h"

namespace bt {

namespace {

template <typename T>
BT_INLINE float normHead(T* out, const T* in, const T* weight, int64_t width, float eps) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < width; ++i) sum += widen(in[i]) * widen(in[i]);
  const float inverse = 1.0f / std::sqrt(sum / static_cast<float>(width) + eps);
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) {
    out[i] = narrowTo<T>(widen(narrowTo<T>(widen(in[i]) * inverse)) * widen(weight[i]));
  }
  return inverse;
}

// With g = d weight and n = x inverse:  d := inverse (g - n mean(g n)).
template <typename T>
BT_INLINE void normHeadBackward(T* d, const T* x, const T* weight, float inverse, int64_t width) {
  float dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t i = 0; i < width; ++i) dot += widen(d[i]) * widen(weight[i]) * widen(x[i]);
  const float along = dot * inverse * inverse * inverse / static_cast<float>(width);
#pragma omp simd
  for (int64_t i = 0; i < width; ++i)
    d[i] = narrowTo<T>(widen(d[i]) * widen(weight[i]) * inverse - widen(x[i]) * along);
}

template <typename T>
BT_INLINE void forwardRows(const AttentionShape& shape, T* out, float* inverse, const T* qkv, const T* qWeight,
                           const T* kWeight, float eps, int64_t begin, int64_t end) {
  const int64_t d = shape.headDim, normed = shape.heads + shape.kvHeads, width = (normed + shape.kvHeads) * d;
  for (int64_t token = begin; token < end; ++token) {
    const T* from = qkv + token * width;
    T* to = out + token * width;
    for (int64_t h = 0; h < normed; ++h) {
      const T* weight = h < shape.heads ? qWeight : kWeight;
      inverse[token * normed + h] = normHead(to + h * d, from + h * d, weight, d, eps);
    }
    std::copy_n(from + normed * d, shape.kvHeads * d, to + normed * d);
  }
}

template <typename T>
BT_INLINE void backwardRows(const AttentionShape& shape, T* dqkv, const T* qkv, const float* inverse, const T* qWeight,
                            const T* kWeight, int64_t begin, int64_t end) {
  const int64_t d = shape.headDim, normed = shape.heads + shape.kvHeads, width = (normed + shape.kvHeads) * d;
  for (int64_t token = begin; token < end; ++token) {
    for (int64_t h = 0; h < normed; ++h) {
      const int64_t at = token * width + h * d;
      normHeadBackward(dqkv + at, qkv + at, h < shape.heads ? qWeight : kWeight, inverse[token * normed + h], d);
    }
  }
}

#define BT_RANGES(T)                                                                                                \
  BT_DISPATCH void forwardRange(const AttentionShape& a, T* o, float* r, const T* x, const T* q, const T* k,        \
                                float eps, int64_t b, int64_t e) {                                                  \
    forwardRows(a, o, r, x, q, k, eps, b, e);                                                                       \
  }                                                                                                                 \
  BT_DISPATCH void backwardRange(const AttentionShape& a, T* g, const T* x, const float* r, const T* q, const T* k, \
                                 int64_t b, int64_t e) {                                                            \
    backwardRows(a, g, x, r, q, k, b, e);                                                                           \
  }
BT_RANGES(float)
BT_RANGES(Bf16)
BT_RANGES(Fp16)

// Calls visit(first element of the head, its place among the inverses, its weight) for each normed head of each token.
template <typename T, typename Visit>
void eachHeadNaive(const AttentionShape& shape, const T* qWeight, const T* kWeight, Visit visit) {
  const int64_t normed = shape.heads + shape.kvHeads;
  for (int64_t i = 0; i < shape.tokens() * normed; ++i) {
    const int64_t token = i / normed, head = i % normed;
    visit((token * (normed + shape.kvHeads) + head) * shape.headDim, i, head < shape.heads ? qWeight : kWeight);
  }
}

}  // namespace

template <typename T>
void headNormForward(const AttentionShape& shape, T* out, float* inverse, const T* qkv, const T* qWeight,
                     const T* kWeight, float eps) {
  parallelRows(shape.tokens(),
               [&](int64_t b, int64_t e) { forwardRange(shape, out, inverse, qkv, qWeight, kWeight, eps, b, e); });
}

template <typename T>
void headNormBackward(const AttentionShape& shape, T* dqkv, const T* qkv, const float* inverse, const T* qWeight,
                      const T* kWeight) {
  parallelRows(shape.tokens(),
               [&](int64_t b, int64_t e) { backwardRange(shape, dqkv, qkv, inverse, qWeight, kWeight, b, e); });
}

template <typename T>
void headNormForwardNaive(const AttentionShape& shape, T* out, float* inverse, const T* qkv, const T* qWeight,
                          const T* kWeight, float eps) {
  const int64_t d = shape.headDim;
  std::copy_n(qkv, shape.tokens() * (shape.heads + 2 * shape.kvHeads) * d, out);
  eachHeadNaive(shape, qWeight, kWeight, [&](int64_t at, int64_t place, const T* weight) {
    double sum = 0;
    for (int64_t i = 0; i < d; ++i) sum += std::pow(static_cast<double>(widen(qkv[at + i])), 2);
    const double r = 1 / std::sqrt(sum / static_cast<double>(d) + eps);
    inverse[place] = static_cast<float>(r);
    for (int64_t i = 0; i < d; ++i) {
      const T unit = narrowTo<T>(static_cast<float>(widen(qkv[at + i]) * r));
      out[at + i] = narrowTo<T>(widen(unit) * widen(weight[i]));
    }
  });
}

template <typename T>
void headNormBackwardNaive(const AttentionShape& shape, T* dqkv, const T* qkv, const float* inverse, const T* qWeight,
                           const T* kWeight) {
  const int64_t d = shape.headDim;
  eachHeadNaive(shape, qWeight, kWeight, [&](int64_t at, int64_t place, const T* weight) {
    const double r = inverse[place];
    double mean = 0;
    for (int64_t i = 0; i < d; ++i)
      mean += static_cast<double>(widen(dqkv[at + i])) * widen(weight[i]) * widen(qkv[at + i]) * r;
    mean /= static_cast<double>(d);
    for (int64_t i = 0; i < d; ++i) {
      const double g = static_cast<double>(widen(dqkv[at + i])) * widen(weight[i]);
      dqkv[at + i] = narrowTo<T>(static_cast<float>(r * (g - widen(qkv[at + i]) * r * mean)));
    }
  });
}

#define BT_INSTANTIATE(T)                                                                                        \
  template void headNormForward<T>(const AttentionShape&, T*, float*, const T*, const T*, const T*, float);      \
  template void headNormForwardNaive<T>(const AttentionShape&, T*, float*, const T*, const T*, const T*, float); \
  template void headNormBackward<T>(const AttentionShape&, T*, const T*, const float*, const T*, const T*);      \
  template void headNormBackwardNaive<T>(const AttentionShape&, T*, const T*, const float*, const T*, const T*);
BT_INSTANTIATE(float)
BT_INSTANTIATE(Bf16)
BT_INSTANTIATE(Fp16)

}  // namespace bt
