// The residual stream of generation, held in FP32, and the RMS norm that opens each half of a layer: one pass for both.
#pragma once
#include <cstdint>

#include "kernels/element.h"

namespace bt {

// x += delta, where there is one; y = x / rms(x) * weight.
// x, delta: (rows, width) f32   weight: (width) f32   y: (rows, width)
template <typename T>
void residualNorm(float* x, const float* delta, const float* weight, T* y, int64_t rows, int64_t width, float eps);
template <typename T>
void residualNormNaive(float* x, const float* delta, const float* weight, T* y, int64_t rows, int64_t width, float eps);

// y[:, from : from + count] += delta, rounded once.   y: (rows, width)   delta: (rows, count) f32
template <typename T>
void addColumns(T* y, const float* delta, int64_t rows, int64_t width, int64_t from, int64_t count);

}  // namespace bt
