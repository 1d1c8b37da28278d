#include "kernels/linear_inputs.h"

#include <algorithm>
#include <limits>
#include <type_traits>

#include "kernels/linear_kinds.h"
#include "kernels/parallel.h"

namespace bt {

namespace {

using namespace layout;

// ---- Blocks of 8 bits

// The largest magnitude, as bits: infinities and NaN stand above all others.
BT_INLINE uint32_t largestMagnitude(const float* x) {
  uint32_t most = 0;
#pragma omp simd reduction(max : most)
  for (int i = 0; i < block; ++i) most = std::max(most, std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu);
  return most;
}

// A block with a number that is not finite gets NaN for its scale.
BT_INLINE void quantizeBlock(const float* x, int32_t offset, InputBlock& to) {
  const uint32_t most = largestMagnitude(x);
  const bool finite = most < 0x7f800000u;
  const float largest = std::bit_cast<float>(most);
  // Where 127 / largest would be infinite, inputs count as 0.
  const float inverse = finite && largest > 0x1p-120f ? 127 / largest : 0;
  to.scale = finite ? largest / 127 : std::numeric_limits<float>::quiet_NaN();
  int32_t sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int i = 0; i < block; ++i) {
    const int32_t q = finite ? static_cast<int32_t>(std::nearbyint(x[i] * inverse)) : 0;
    to.values[i] = static_cast<int8_t>(q);
    sum += q;
  }
  to.start = -offset * sum;
}

template <typename X>
BT_INLINE void quantizeRow(const X* x, int64_t in, int32_t offset, InputBlock* to) {
  float wide[block];
  int64_t at = 0;
  for (; at + block <= in; at += block) {
    for (int i = 0; i < block; ++i) wide[i] = widen(x[at + i]);
    quantizeBlock(wide, offset, *to++);
  }
  if (at == in) return;
  for (int i = 0; i < block; ++i) wide[i] = at + i < in ? widen(x[at + i]) : 0;
  quantizeBlock(wide, offset, *to);
}

#define BT_QUANTIZE(X)                                                                                          \
  BT_DISPATCH void fill(InputBlock* to, int64_t stride, const X* x, int64_t rows, int64_t in, int32_t offset) { \
    for (int64_t r = 0; r < rows; ++r) quantizeRow(x + r * in, in, offset, to + r * stride);                    \
  }
BT_QUANTIZE(float)
BT_QUANTIZE(Bf16)

// ---- Another type, or a stride of whole steps

template <typename To, typename X>
BT_INLINE void convertRow(To* to, int64_t stride, const X* x, int64_t in) {
  for (int64_t i = 0; i < in; ++i) to[i] = narrowTo<To>(widen(x[i]));
  for (int64_t i = in; i < stride; ++i) to[i] = narrowTo<To>(0.0f);
}

#define BT_CONVERT(To, X)                                                                        \
  BT_DISPATCH void fill(To* to, int64_t stride, const X* x, int64_t rows, int64_t in, int32_t) { \
    for (int64_t r = 0; r < rows; ++r) convertRow(to + r * stride, stride, x + r * in, in);      \
  }
BT_CONVERT(float, Bf16)
BT_CONVERT(Bf16, float)
BT_CONVERT(Bf16, Bf16)

// Rows that fork and join cost less than: one row of a decoder is prepared in a microsecond.
constexpr int64_t fewElements = 16 * 1024;

template <typename To, typename X>
Inputs filled(const X* x, int64_t rows, int64_t in, int64_t stride, int32_t offset) {
  thread_local std::vector<To> memory;
  if (static_cast<int64_t>(memory.size()) < rows * stride) memory.resize(static_cast<size_t>(rows * stride));
  To* to = memory.data();
  const auto some = [=](int64_t begin, int64_t end) {
    fill(to + begin * stride, stride, x + begin * in, end - begin, in, offset);
  };
  if (rows * in <= fewElements) {
    some(0, rows);
  } else {
    parallelRows(rows, some);
  }
  return {reinterpret_cast<const uint8_t*>(to), stride * static_cast<int64_t>(sizeof(To))};
}

}  // namespace

template <typename X>
Inputs inputsFor(WeightKind kind, const X* x, int64_t rows, int64_t in) {
  const Layout& layout = layoutOf(kind);
  const int64_t steps = layout.steps(in);
  const Inputs asTheyAre{reinterpret_cast<const uint8_t*>(x), in * static_cast<int64_t>(sizeof(X))};
  if (layout.inputs == block) return filled<InputBlock>(x, rows, in, steps, layout.offset);
  if (kind == WeightKind::bf16) {
    if (std::is_same_v<X, Bf16> && in % layout.inputs == 0) return asTheyAre;
    return filled<Bf16>(x, rows, in, steps * layout.inputs, 0);
  }
  if constexpr (std::is_same_v<X, float>) {
    return asTheyAre;
  } else {
    return filled<float>(x, rows, in, in, 0);
  }
}

template Inputs inputsFor<float>(WeightKind, const float*, int64_t, int64_t);
template Inputs inputsFor<Bf16>(WeightKind, const Bf16*, int64_t, int64_t);

}  // namespace bt
