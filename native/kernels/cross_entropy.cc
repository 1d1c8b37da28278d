#include "kernels/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/parallel.h"

namespace bt {

namespace {

template <typename T>
BT_INLINE void entropyRows(T* logits, const int32_t* targets, double* losses, int64_t begin, int64_t end, int64_t vocab,
                           float gradScale) {
  // FP32 sums of a block are added in FP64: a vocabulary of 150,000 would lose digits.
  constexpr int64_t block = 4096;
  for (int64_t row = begin; row < end; ++row) {
    T* x = logits + row * vocab;
    float highest = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : highest)
    for (int64_t i = 0; i < vocab; ++i) highest = widen(x[i]) > highest ? widen(x[i]) : highest;
    double total = 0;
    for (int64_t from = 0; from < vocab; from += block) {
      const int64_t to = std::min(from + block, vocab);
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = from; i < to; ++i) sum += fastExp(widen(x[i]) - highest);
      total += sum;
    }
    const double normalizer = static_cast<double>(highest) + std::log(total);
    const float target = widen(x[targets[row]]);
    losses[row] = normalizer - target;
    if (gradScale == 0) continue;
    const float shift = static_cast<float>(normalizer);
#pragma omp simd
    for (int64_t i = 0; i < vocab; ++i) x[i] = narrowTo<T>(gradScale * fastExp(widen(x[i]) - shift));
    x[targets[row]] = narrowTo<T>(gradScale * (fastExp(target - shift) - 1.0f));
  }
}

#define BT_RANGES(T)                                                                                               \
  BT_DISPATCH void entropyRange(T* x, const int32_t* t, double* l, int64_t b, int64_t e, int64_t v, float scale) { \
    entropyRows(x, t, l, b, e, v, scale);                                                                          \
  }
BT_RANGES(float)
BT_RANGES(Bf16)
BT_RANGES(Fp16)

}  // namespace

template <typename T>
void crossEntropy(T* logits, const int32_t* targets, double* losses, int64_t rows, int64_t vocab, float gradScale) {
  parallelRows(rows, [=](int64_t b, int64_t e) { entropyRange(logits, targets, losses, b, e, vocab, gradScale); });
}

template <typename T>
void crossEntropyNaive(T* logits, const int32_t* targets, double* losses, int64_t rows, int64_t vocab,
                       float gradScale) {
  for (int64_t row = 0; row < rows; ++row) {
    T* x = logits + row * vocab;
    double highest = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t i = 0; i < vocab; ++i) highest = std::max(highest, static_cast<double>(widen(x[i])));
    for (int64_t i = 0; i < vocab; ++i) sum += std::exp(widen(x[i]) - highest);
    const double normalizer = highest + std::log(sum);
    losses[row] = normalizer - widen(x[targets[row]]);
    if (gradScale == 0) continue;
    for (int64_t i = 0; i < vocab; ++i) {
      const double gradient = std::exp(widen(x[i]) - normalizer) - (i == targets[row] ? 1 : 0);
      x[i] = narrowTo<T>(static_cast<float>(gradScale * gradient));
    }
  }
}

#define BT_INSTANTIATE(T)                                                              \
  template void crossEntropy<T>(T*, const int32_t*, double*, int64_t, int64_t, float); \
  template void crossEntropyNaive<T>(T*, const int32_t*, double*, int64_t, int64_t, float);
BT_INSTANTIATE(float)
BT_INSTANTIATE(Bf16)
BT_INSTANTIATE(Fp16)

}  // namespace bt
