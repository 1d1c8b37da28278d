// Expands GGML's quantized blocks to floats. Knows nothing of files or tensors: bytes in, floats out.
// Block layouts: ggml-common.h of https://github.com/ggml-org/llama.cpp; each is spelled out in dequant.cc.
#pragma once
#include <cstdint>
#include <string_view>

namespace bt {

// True for Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 and Q2_K to Q6_K; false for plain types ("F32", "F16", "BF16") and others.
bool isBlockType(std::string_view type);

// Bytes of one block, and elements that it holds (32, or 256 for the K types).
// Throw std::invalid_argument when `type` is not a block type.
int64_t blockBytes(std::string_view type);
int64_t blockElements(std::string_view type);

// src: elements / blockElements(type) blocks, no alignment needed     dst: (elements) f32
// OpenMP over blocks. Throws std::invalid_argument for another type or a number of elements that is not whole blocks.
void dequantize(std::string_view type, const uint8_t* src, float* dst, int64_t elements);

// The definition of each format, one element at a time from its index, in FP64: what the fast one is held to.
void dequantizeNaive(std::string_view type, const uint8_t* src, float* dst, int64_t elements);

}  // namespace bt
