// Logits that keep their FP32 sums. A product in half precision rounds them to its own 8 or 11 bits: of two candidates
// with 20.03 and 19.97 BF16 makes equals, and what is greedy takes the wrong one.
#pragma once
#include <cstdint>

namespace bt {

// out = hidden weight^T. Each sum is taken in one order, whatever the number of rows.
// hidden: [rows, width]   weight: [vocab, width]   out: [rows, vocab] FP32
template <typename T>
void logits(const T* hidden, const T* weight, float* out, int64_t rows, int64_t vocab, int64_t width);
template <typename T>
void logitsNaive(const T* hidden, const T* weight, float* out, int64_t rows, int64_t vocab, int64_t width);

}  // namespace bt
