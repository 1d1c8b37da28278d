// Packs floats into GGML's quantized blocks: the way back from dequant.h. Knows nothing of files or tensors: floats in,
// bytes out. Source: quantize_row_q8_0_ref and quantize_row_q4_0_ref of ggml-quants.c,
// https://github.com/ggml-org/llama.cpp; sums and products are rounded to FP32 one by one, as the gguf package has
// them.
#pragma once
#include <cstdint>
#include <string_view>

namespace bt {

// src: (elements) f32, finite, whose largest magnitude a half can still scale     dst: elements / 32 blocks
// OpenMP over blocks. Throws std::invalid_argument for a type that is not Q8_0 or Q4_0, or a number of elements that is
// not whole blocks.
void quantize(std::string_view type, const float* src, uint8_t* dst, int64_t elements);

// The definition of each format, one element at a time: what the fast one is held to, byte by byte.
void quantizeNaive(std::string_view type, const float* src, uint8_t* dst, int64_t elements);

// The largest magnitude that blocks of this type can hold: beyond it the scale of a block is no finite half.
float quantizeLimit(std::string_view type);

}  // namespace bt
