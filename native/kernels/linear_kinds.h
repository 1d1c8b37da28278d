// The numbers of linear_layout.h for each kind of weights.
#pragma once
#include "kernels/linear.h"
#include "kernels/linear_layout.h"

namespace bt::layout {

struct Layout {
  int64_t columns;     // of a panel
  int64_t inputs;      // of a step
  int64_t bytes;       // of a panel's step
  int64_t inputBytes;  // of a row's step
  int32_t offset;      // added to weights in blocks

  int64_t steps(int64_t in) const { return (in + inputs - 1) / inputs; }
};

inline const Layout& layoutOf(WeightKind kind) {
  static constexpr Layout layouts[] = {{floatColumns, 1, floatStepBytes, 4, 0},
                                       {floatColumns, 2, floatStepBytes, 4, 0},
                                       {blockColumns, block, int8StepBytes, sizeof(InputBlock), 128},
                                       {blockColumns, block, int4StepBytes, sizeof(InputBlock), 8}};
  return layouts[static_cast<int>(kind)];
}

}  // namespace bt::layout
