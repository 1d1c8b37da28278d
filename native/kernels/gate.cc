#include "kernels/gate.h"

#include <cmath>

#include "kernels/parallel.h"

namespace bt {

namespace {

template <typename T>
BT_INLINE void forwardRows(T* out, const T* gateUp, int64_t begin, int64_t end, int64_t inner) {
  for (int64_t row = begin; row < end; ++row) {
    const T *gate = gateUp + row * 2 * inner, *up = gate + inner;
    T* to = out + row * inner;
#pragma omp simd
    for (int64_t i = 0; i < inner; ++i) {
      const float g = widen(gate[i]);
      const float activated = g / (1.0f + fastExp(-g));
      to[i] = narrowTo<T>(widen(narrowTo<T>(activated)) * widen(up[i]));
    }
  }
}

template <typename T>
BT_INLINE void backwardRows(T* gateUp, const T* dOut, int64_t begin, int64_t end, int64_t inner) {
  for (int64_t row = begin; row < end; ++row) {
    T *gate = gateUp + row * 2 * inner, *up = gate + inner;
    const T* grad = dOut + row * inner;
#pragma omp simd
    for (int64_t i = 0; i < inner; ++i) {
      const float g = widen(gate[i]), u = widen(up[i]), d = widen(grad[i]);
      const float sigmoid = 1.0f / (1.0f + fastExp(-g));
      gate[i] = narrowTo<T>(d * u * sigmoid * (1.0f + g * (1.0f - sigmoid)));
      up[i] = narrowTo<T>(d * g * sigmoid);
    }
  }
}

#define BT_RANGES(T)                                                                                               \
  BT_DISPATCH void forwardRange(T* o, const T* g, int64_t b, int64_t e, int64_t n) { forwardRows(o, g, b, e, n); } \
  BT_DISPATCH void backwardRange(T* g, const T* d, int64_t b, int64_t e, int64_t n) { backwardRows(g, d, b, e, n); }
BT_RANGES(float)
BT_RANGES(Bf16)
BT_RANGES(Fp16)

}  // namespace

template <typename T>
void siluGateForward(T* out, const T* gateUp, int64_t rows, int64_t inner) {
  parallelRows(rows, [=](int64_t b, int64_t e) { forwardRange(out, gateUp, b, e, inner); });
}

template <typename T>
void siluGateBackward(T* gateUp, const T* dOut, int64_t rows, int64_t inner) {
  parallelRows(rows, [=](int64_t b, int64_t e) { backwardRange(gateUp, dOut, b, e, inner); });
}

template <typename T>
void siluGateForwardNaive(T* out, const T* gateUp, int64_t rows, int64_t inner) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < inner; ++i) {
      const double g = widen(gateUp[row * 2 * inner + i]);
      const T activated = narrowTo<T>(static_cast<float>(g / (1 + std::exp(-g))));
      out[row * inner + i] = narrowTo<T>(widen(activated) * widen(gateUp[row * 2 * inner + inner + i]));
    }
  }
}

template <typename T>
void siluGateBackwardNaive(T* gateUp, const T* dOut, int64_t rows, int64_t inner) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < inner; ++i) {
      T &gate = gateUp[row * 2 * inner + i], &up = gateUp[row * 2 * inner + inner + i];
      const double g = widen(gate), u = widen(up), d = widen(dOut[row * inner + i]), sigmoid = 1 / (1 + std::exp(-g));
      gate = narrowTo<T>(static_cast<float>(d * u * sigmoid * (1 + g * (1 - sigmoid))));
      up = narrowTo<T>(static_cast<float>(d * g * sigmoid));
    }
  }
}

#define BT_INSTANTIATE(T)                                                \
  template void siluGateForward<T>(T*, const T*, int64_t, int64_t);      \
  template void siluGateForwardNaive<T>(T*, const T*, int64_t, int64_t); \
  template void siluGateBackward<T>(T*, const T*, int64_t, int64_t);     \
  template void siluGateBackwardNaive<T>(T*, const T*, int64_t, int64_t);
BT_INSTANTIATE(float)
BT_INSTANTIATE(Bf16)
BT_INSTANTIATE(Fp16)

}  // namespace bt
