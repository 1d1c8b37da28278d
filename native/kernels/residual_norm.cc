#include "kernels/residual_norm.h"

#include <cmath>

#include "kernels/parallel.h"

namespace bt {

namespace {

template <typename T>
BT_INLINE void normRows(float* x, const float* delta, const float* weight, T* y, int64_t begin, int64_t end,
                        int64_t width, float eps) {
  for (int64_t row = begin; row < end; ++row) {
    float* in = x + row * width;
    T* out = y + row * width;
    if (delta != nullptr) {
      const float* more = delta + row * width;
#pragma omp simd
      for (int64_t i = 0; i < width; ++i) in[i] += more[i];
    }
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < width; ++i) sum += in[i] * in[i];
    const float inverse = 1.0f / std::sqrt(sum / static_cast<float>(width) + eps);
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) out[i] = narrowTo<T>(in[i] * inverse * weight[i]);
  }
}

template <typename T>
BT_INLINE void addRows(T* y, const float* delta, int64_t begin, int64_t end, int64_t width, int64_t from,
                       int64_t count) {
  for (int64_t row = begin; row < end; ++row) {
    T* to = y + row * width + from;
    const float* more = delta + row * count;
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) to[i] = narrowTo<T>(widen(to[i]) + more[i]);
  }
}

#define BT_RANGES(T)                                                                                              \
  BT_DISPATCH void normRange(float* x, const float* d, const float* w, T* y, int64_t b, int64_t e, int64_t n,     \
                             float eps) {                                                                         \
    normRows(x, d, w, y, b, e, n, eps);                                                                           \
  }                                                                                                               \
  BT_DISPATCH void addRange(T* y, const float* d, int64_t b, int64_t e, int64_t n, int64_t from, int64_t count) { \
    addRows(y, d, b, e, n, from, count);                                                                          \
  }
BT_RANGES(float)
BT_RANGES(Bf16)

}  // namespace

template <typename T>
void residualNorm(float* x, const float* delta, const float* weight, T* y, int64_t rows, int64_t width, float eps) {
  parallelRows(rows, [=](int64_t b, int64_t e) { normRange(x, delta, weight, y, b, e, width, eps); });
}

template <typename T>
void residualNormNaive(float* x, const float* delta, const float* weight, T* y, int64_t rows, int64_t width,
                       float eps) {
  for (int64_t row = 0; row < rows; ++row) {
    double sum = 0;
    for (int64_t i = row * width; i < (row + 1) * width; ++i) {
      if (delta != nullptr) x[i] += delta[i];
      sum += static_cast<double>(x[i]) * x[i];
    }
    const double inverse = 1 / std::sqrt(sum / static_cast<double>(width) + eps);
    for (int64_t i = 0; i < width; ++i) {
      y[row * width + i] = narrowTo<T>(static_cast<float>(x[row * width + i] * inverse * weight[i]));
    }
  }
}

template <typename T>
void addColumns(T* y, const float* delta, int64_t rows, int64_t width, int64_t from, int64_t count) {
  parallelRows(rows, [=](int64_t b, int64_t e) { addRange(y, delta, b, e, width, from, count); });
}

#define BT_INSTANTIATE(T)                                                                              \
  template void residualNorm<T>(float*, const float*, const float*, T*, int64_t, int64_t, float);      \
  template void residualNormNaive<T>(float*, const float*, const float*, T*, int64_t, int64_t, float); \
  template void addColumns<T>(T*, const float*, int64_t, int64_t, int64_t, int64_t);
BT_INSTANTIATE(float)
BT_INSTANTIATE(Bf16)

}  // namespace bt
