#include "kernels/log_sum_exp.h"

#include <algorithm>
#include <cmath>

#include "kernels/element.h"

namespace bt {

namespace {

constexpr int64_t lanes = 16, blockSize = 1024;

// Sums of e^(x - highest) over blocks in FP32, 16 lanes each, and of blocks in FP64.
BT_DISPATCH double sumExp(const float* x, int64_t count, float highest) {
  double total = 0;
  for (int64_t block = 0; block < count; block += blockSize) {
    const int64_t end = std::min(count, block + blockSize), whole = block + (end - block) / lanes * lanes;
    float sums[lanes] = {};
    for (int64_t i = block; i < whole; i += lanes) {
#pragma omp simd
      for (int64_t lane = 0; lane < lanes; ++lane) sums[lane] += fastExp(x[i + lane] - highest);
    }
    for (const float sum : sums) total += sum;
    for (int64_t i = whole; i < end; ++i) total += fastExp(x[i] - highest);
  }
  return total;
}

BT_DISPATCH float highestOf(const float* x, int64_t count, bool* broken) {
  float highest = x[0];
  int unordered = 0;
#pragma omp simd reduction(max : highest) reduction(| : unordered)
  for (int64_t i = 0; i < count; ++i) {
    highest = x[i] > highest ? x[i] : highest;
    unordered |= x[i] != x[i] ? 1 : 0;
  }
  *broken = unordered != 0;
  return highest;
}

}  // namespace

double logSumExp(const float* x, int64_t count) {
  bool broken = false;
  const float highest = highestOf(x, count, &broken);
  if (broken || std::isinf(highest)) return highest > 0 && !broken ? HUGE_VAL : NAN;
  return highest + std::log(sumExp(x, count, highest));
}

double logSumExpNaive(const float* x, int64_t count) {
  const double highest = *std::max_element(x, x + count);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += std::exp(static_cast<double>(x[i]) - highest);
  return highest + std::log(sum);
}

}  // namespace bt
