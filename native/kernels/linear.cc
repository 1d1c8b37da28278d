#include "kernels/linear.h"

#include <vector>

#include "kernels/element.h"
#include "kernels/linear_inputs.h"
#include "kernels/linear_layout.h"
#include "kernels/parallel.h"

namespace bt {

const std::vector<std::string_view>& linearPaths(WeightKind) {
  static const std::vector<std::string_view> paths{"baseline"};
  return paths;
}

template <typename X>
void linearNaive(const PackedWeight& weight, const X* x, int64_t rows, double* y) {
  const int64_t in = weight.in, blocks = (in + layout::block - 1) / layout::block;
  const bool quantized = weight.kind == WeightKind::int8 || weight.kind == WeightKind::int4;
  std::vector<double> inputs(static_cast<size_t>(rows * in));
  if (quantized) {
    std::vector<layout::InputBlock> rounded(static_cast<size_t>(rows * blocks));
    quantizeInputs(x, rows, in, 0, rounded.data());
    for (int64_t i = 0; i < rows * in; ++i) {
      const layout::InputBlock& of = rounded[i / in * blocks + i % in / layout::block];
      inputs[i] = static_cast<double>(of.scale) * of.values[i % in % layout::block];
    }
  } else {
    for (int64_t i = 0; i < rows * in; ++i) {
      inputs[i] = weight.kind == WeightKind::bf16 ? widen(narrowTo<Bf16>(widen(x[i]))) : widen(x[i]);
    }
  }
  parallelRows(weight.out, [&](int64_t begin, int64_t end) {
    std::vector<float> row(static_cast<size_t>(in));
    for (int64_t o = begin; o < end; ++o) {
      unpackRow(weight, o, row.data());
      for (int64_t r = 0; r < rows; ++r) {
        double sum = 0;
        for (int64_t i = 0; i < in; ++i) sum += inputs[r * in + i] * row[i];
        y[r * weight.out + o] = sum + (weight.bias != nullptr ? weight.bias[o] : 0);
      }
    }
  });
}

template <typename X, typename Y>
void linear(const PackedWeight& weight, const X* x, int64_t rows, Y* y) {
  std::vector<double> wide(static_cast<size_t>(rows * weight.out));
  linearNaive(weight, x, rows, wide.data());
  for (size_t i = 0; i < wide.size(); ++i) y[i] = narrowTo<Y>(static_cast<float>(wide[i]));
}

template void linearNaive<float>(const PackedWeight&, const float*, int64_t, double*);
template void linearNaive<Bf16>(const PackedWeight&, const Bf16*, int64_t, double*);
#define BT_INSTANTIATE(X, Y) template void linear<X, Y>(const PackedWeight&, const X*, int64_t, Y*);
BT_INSTANTIATE(float, float)
BT_INSTANTIATE(float, Bf16)
BT_INSTANTIATE(Bf16, float)
BT_INSTANTIATE(Bf16, Bf16)

}  // namespace bt
