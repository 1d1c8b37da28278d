// Products of BF16 rows with AVX512_BF16, for logits.cc. As attention_avx512.h, this keeps to C and intrinsics: the .cc
// is compiled for a processor that this may not be.
#pragma once
#include <stdint.h>

namespace bt::avx512 {

// AVX-512 F, BW, DQ and VL and AVX512_BF16 are needed.
// out[r * outWidth + v] = hidden[r] . weight[v] for 0 <= r < rows and begin <= v < end.
// hidden: (rows, width)   weight: (vocabulary, width), both the bits of BF16
void bf16Logits(const uint16_t* hidden, const uint16_t* weight, float* out, int64_t rows, int64_t begin, int64_t end,
                int64_t width, int64_t outWidth);

}  // namespace bt::avx512
