// The normaliser of a row of logits.
#pragma once
#include <cstdint>

namespace bt {

// log sum e^x, in one order of sums for every caller. NaN where one is NaN, or where every one is -infinity.
// x: (count) f32, count > 0
double logSumExp(const float* x, int64_t count);
double logSumExpNaive(const float* x, int64_t count);

}  // namespace bt
