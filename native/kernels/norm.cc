#include "kernels/norm.h"

#include <cmath>

#include "kernels/parallel.h"

namespace bt {

namespace {

template <typename T>
BT_INLINE void forwardRows(T* y, float* inverseRms, const T* x, const T* weight, int64_t begin, int64_t end,
                           int64_t width, float eps) {
  for (int64_t row = begin; row < end; ++row) {
    const T* in = x + row * width;
    T* out = y + row * width;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < width; ++i) sum += widen(in[i]) * widen(in[i]);
    const float inverse = 1.0f / std::sqrt(sum / static_cast<float>(width) + eps);
    if (inverseRms != nullptr) inverseRms[row] = inverse;
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) {
      out[i] = narrowTo<T>(widen(narrowTo<T>(widen(in[i]) * inverse)) * widen(weight[i]));
    }
  }
}

template <typename T>
BT_INLINE void backwardRows(T* dx, const T* dy, const T* x, const float* inverseRms, const T* weight, int64_t begin,
                            int64_t end, int64_t width) {
  for (int64_t row = begin; row < end; ++row) {
    const T *in = x + row * width, *grad = dy + row * width;
    T* out = dx + row * width;
    const float inverse = inverseRms[row];
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t i = 0; i < width; ++i) dot += widen(grad[i]) * widen(weight[i]) * widen(in[i]);
    const float along = dot * inverse * inverse * inverse / static_cast<float>(width);
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) {
      out[i] = narrowTo<T>(widen(out[i]) + (widen(grad[i]) * widen(weight[i]) * inverse - widen(in[i]) * along));
    }
  }
}

#define BT_RANGES(T)                                                                                                  \
  BT_DISPATCH void forwardRange(T* y, float* r, const T* x, const T* w, int64_t b, int64_t e, int64_t n, float eps) { \
    forwardRows(y, r, x, w, b, e, n, eps);                                                                            \
  }                                                                                                                   \
  BT_DISPATCH void backwardRange(T* dx, const T* dy, const T* x, const float* r, const T* w, int64_t b, int64_t e,    \
                                 int64_t n) {                                                                         \
    backwardRows(dx, dy, x, r, w, b, e, n);                                                                           \
  }
BT_RANGES(float)
BT_RANGES(Bf16)
BT_RANGES(Fp16)

}  // namespace

template <typename T>
void rmsNormForward(T* y, float* inverseRms, const T* x, const T* weight, int64_t rows, int64_t width, float eps) {
  parallelRows(rows, [=](int64_t b, int64_t e) { forwardRange(y, inverseRms, x, weight, b, e, width, eps); });
}

template <typename T>
void rmsNormBackward(T* dx, const T* dy, const T* x, const float* inverseRms, const T* weight, int64_t rows,
                     int64_t width) {
  parallelRows(rows, [=](int64_t b, int64_t e) { backwardRange(dx, dy, x, inverseRms, weight, b, e, width); });
}

template <typename T>
void rmsNormForwardNaive(T* y, float* inverseRms, const T* x, const T* weight, int64_t rows, int64_t width, float eps) {
  for (int64_t row = 0; row < rows; ++row) {
    double sum = 0;
    for (int64_t i = 0; i < width; ++i) sum += std::pow(static_cast<double>(widen(x[row * width + i])), 2);
    const double inverse = 1 / std::sqrt(sum / static_cast<double>(width) + eps);
    if (inverseRms != nullptr) inverseRms[row] = static_cast<float>(inverse);
    for (int64_t i = 0; i < width; ++i) {
      const T unit = narrowTo<T>(static_cast<float>(widen(x[row * width + i]) * inverse));
      y[row * width + i] = narrowTo<T>(widen(unit) * widen(weight[i]));
    }
  }
}

template <typename T>
void rmsNormBackwardNaive(T* dx, const T* dy, const T* x, const float* inverseRms, const T* weight, int64_t rows,
                          int64_t width) {
  for (int64_t row = 0; row < rows; ++row) {
    const double inverse = inverseRms[row];
    double mean = 0;
    for (int64_t i = row * width; i < (row + 1) * width; ++i) {
      mean += static_cast<double>(widen(dy[i])) * widen(weight[i - row * width]) * widen(x[i]) * inverse;
    }
    mean /= static_cast<double>(width);
    for (int64_t i = row * width; i < (row + 1) * width; ++i) {
      const double g = static_cast<double>(widen(dy[i])) * widen(weight[i - row * width]);
      dx[i] = narrowTo<T>(static_cast<float>(widen(dx[i]) + inverse * (g - widen(x[i]) * inverse * mean)));
    }
  }
}

#define BT_INSTANTIATE(T)                                                                             \
  template void rmsNormForward<T>(T*, float*, const T*, const T*, int64_t, int64_t, float);           \
  template void rmsNormForwardNaive<T>(T*, float*, const T*, const T*, int64_t, int64_t, float);      \
  template void rmsNormBackward<T>(T*, const T*, const T*, const float*, const T*, int64_t, int64_t); \
  template void rmsNormBackwardNaive<T>(T*, const T*, const T*, const float*, const T*, int64_t, int64_t);
BT_INSTANTIATE(float)
BT_INSTANTIATE(Bf16)
BT_INSTANTIATE(Fp16)

}  // namespace bt
