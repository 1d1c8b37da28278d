// The products of linear.h as they are defined.
#include <cmath>
#include <limits>

#include "kernels/element.h"
#include "kernels/linear.h"
#include "kernels/parallel.h"

namespace bt {

namespace {

// Rounds one block of inputs to 8 bits and back.
void roundBlock(double* x, int64_t count) {
  float largest = 0;
  bool finite = true;
  for (int64_t i = 0; i < count; ++i) {
    finite = finite && std::isfinite(x[i]);
    largest = std::max(largest, std::abs(static_cast<float>(x[i])));
  }
  const float inverse = largest > 0x1p-120f ? 127 / largest : 0;
  for (int64_t i = 0; i < count; ++i) {
    const double whole = std::nearbyint(static_cast<float>(x[i]) * inverse);
    x[i] = finite ? whole * (largest / 127) : std::numeric_limits<double>::quiet_NaN();
  }
}

}  // namespace

template <typename X>
void linearNaive(const PackedWeight& weight, const X* x, int64_t rows, double* y) {
  constexpr int64_t block = 32;
  const int64_t in = weight.in;
  std::vector<double> inputs(static_cast<size_t>(rows * in));
  for (int64_t i = 0; i < rows * in; ++i) {
    inputs[i] = weight.kind == WeightKind::bf16 ? widen(narrowTo<Bf16>(widen(x[i]))) : widen(x[i]);
  }
  if (weight.kind == WeightKind::int8 || weight.kind == WeightKind::int4) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < in; i += block) roundBlock(inputs.data() + r * in + i, std::min(block, in - i));
    }
  }
  std::vector<float> row(static_cast<size_t>(in));
  for (int64_t o = 0; o < weight.out; ++o) {
    unpackRow(weight, o, row.data());
    for (int64_t r = 0; r < rows; ++r) {
      double sum = 0;
      for (int64_t i = 0; i < in; ++i) sum += inputs[r * in + i] * row[i];
      y[r * weight.out + o] = sum + (weight.bias != nullptr ? weight.bias[o] : 0);
    }
  }
}

template void linearNaive<float>(const PackedWeight&, const float*, int64_t, double*);
template void linearNaive<Bf16>(const PackedWeight&, const Bf16*, int64_t, double*);

}  // namespace bt
