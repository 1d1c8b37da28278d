// RMS norm and its backward, one pass each.
#pragma once
#include <cstdint>

#include "kernels/element.h"

namespace bt {

// y = x / rms(x) * weight, over rows of x.   x, y: (rows, width)   weight: (width)   inverseRms: (rows) f32, kept for
// backward; may be null. Rounded as Hugging Face does: x / rms(x) to T first, then times weight.
template <typename T>
void rmsNormForward(T* y, float* inverseRms, const T* x, const T* weight, int64_t rows, int64_t width, float eps);
template <typename T>
void rmsNormForwardNaive(T* y, float* inverseRms, const T* x, const T* weight, int64_t rows, int64_t width, float eps);

// dx += d loss / d x given dy = d loss / d y.   dx, dy, x: (rows, width)
// With g = dy * weight and n = x inverseRms:  dx += inverseRms (g - n mean(g n)).
template <typename T>
void rmsNormBackward(T* dx, const T* dy, const T* x, const float* inverseRms, const T* weight, int64_t rows,
                     int64_t width);
template <typename T>
void rmsNormBackwardNaive(T* dx, const T* dy, const T* x, const float* inverseRms, const T* weight, int64_t rows,
                          int64_t width);

}  // namespace bt
