// The inputs of a product as its weights want them.
#pragma once
#include <cstdint>

#include "kernels/element.h"
#include "kernels/linear_layout.h"

namespace bt {

// Rounds rows to blocks of 8 bits, `offset` being what was added to the weights (128 or 8); inputs past `in` count as
// 0. A block with a number that is not finite gets NaN for its scale and zeros for values. x: (rows, in)   to: (rows,
// ceil(in / 32))
template <typename X>
void quantizeInputs(const X* x, int64_t rows, int64_t in, int32_t offset, layout::InputBlock* to);

}  // namespace bt
