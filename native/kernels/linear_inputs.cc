#include "kernels/linear_inputs.h"

#include <algorithm>
#include <limits>

namespace bt {

namespace {

// The largest magnitude, as bits: infinities and NaN stand above all others.
BT_INLINE uint32_t largestMagnitude(const float* x) {
  uint32_t most = 0;
#pragma omp simd reduction(max : most)
  for (int i = 0; i < layout::block; ++i) most = std::max(most, std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu);
  return most;
}

BT_INLINE void quantizeBlock(const float* x, int32_t offset, layout::InputBlock& to) {
  const uint32_t most = largestMagnitude(x);
  const bool finite = most < 0x7f800000u;
  const float largest = std::bit_cast<float>(most);
  // Below 2^-120 127 / largest would be infinite; such inputs count as 0.
  const float inverse = finite && largest > 0x1p-120f ? 127 / largest : 0;
  to.scale = finite ? largest / 127 : std::numeric_limits<float>::quiet_NaN();
  int32_t sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int i = 0; i < layout::block; ++i) {
    const int32_t q = finite ? static_cast<int32_t>(std::nearbyint(x[i] * inverse)) : 0;
    to.values[i] = static_cast<int8_t>(q);
    sum += q;
  }
  to.start = -offset * sum;
}

template <typename X>
BT_INLINE void quantizeRow(const X* x, int64_t in, int32_t offset, layout::InputBlock* to) {
  float wide[layout::block];
  for (int64_t at = 0; at < in; at += layout::block) {
    const int64_t count = std::min(layout::block, in - at);
    if (count == layout::block) {
      for (int i = 0; i < layout::block; ++i) wide[i] = widen(x[at + i]);
    } else {
      for (int i = 0; i < layout::block; ++i) wide[i] = i < count ? widen(x[at + i]) : 0;
    }
    quantizeBlock(wide, offset, to[at / layout::block]);
  }
}

#define BT_ROWS(X)                                                                                              \
  BT_DISPATCH void quantizeRows(const X* x, int64_t rows, int64_t in, int32_t offset, layout::InputBlock* to) { \
    const int64_t blocks = (in + layout::block - 1) / layout::block;                                            \
    for (int64_t r = 0; r < rows; ++r) quantizeRow(x + r * in, in, offset, to + r * blocks);                    \
  }
BT_ROWS(float)
BT_ROWS(Bf16)

}  // namespace

template <typename X>
void quantizeInputs(const X* x, int64_t rows, int64_t in, int32_t offset, layout::InputBlock* to) {
  quantizeRows(x, rows, in, offset, to);
}

template void quantizeInputs<float>(const float*, int64_t, int64_t, int32_t, layout::InputBlock*);
template void quantizeInputs<Bf16>(const Bf16*, int64_t, int64_t, int32_t, layout::InputBlock*);

}  // namespace bt
