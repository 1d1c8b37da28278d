// Products of rows with a model's weights, y = x w^T + b, for generation: from one row (decoding) to thousands
// (prompts). A row's outputs have the same bits alone, in any batch and with any number of threads: each is one chain
// of sums over the inputs in their order, whatever else is computed beside it.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace bt {

// How weights are held, and so what they are multiplied with. Sums are FP32.
//   fp32: with FP32 inputs
//   bf16: with BF16 inputs; FP32 ones are rounded first
//   int8: GGML's Q8_0, int4: its Q4_0: blocks of 32 along the inputs with a scale in FP16. Inputs are rounded to 8 bits
//   in
//         blocks of 32, too, the scale max |x| / 127 in FP32; products of a block are summed exactly. A block with an
//         input that is not finite makes NaN.
enum class WeightKind { fp32, bf16, int8, int4 };

// Weights (out, in) in the order in which the kernels read them. A view: whoever made the memory keeps it.
struct PackedWeight {
  WeightKind kind;
  int64_t out, in;
  uint8_t* data;                // packedBytes(kind, out, in) bytes, aligned to 64
  const float* bias = nullptr;  // (out), added to the finished sums
  std::string_view path = {};   // one of linearPaths(kind); empty: the first. What is packed fits them all.
};

// The ways of computing that this processor has for a kind, the fastest first, "baseline" last. Each has its own order
// of sums, so rows have the same bits only where the path is the same.
const std::vector<std::string_view>& linearPaths(WeightKind kind);

int64_t packedBytes(WeightKind kind, int64_t out, int64_t in);

// Packs rows [first, first + count) of the weights; matrices that lie one below the other are packed one by one. Every
// row must be packed once before linear(). T: float, Bf16 or Fp16, rounded to nearest where `kind` holds less.
// OpenMP over rows. Throws std::invalid_argument for rows that are not there, and for a number that is not finite or
// too large for a scale (int8, int4). rows: (count, in)
template <typename T>
void packRows(const PackedWeight& weight, int64_t first, int64_t count, const T* rows);

// The same from GGML's blocks, which keep their bits: "Q8_0" for int8, "Q4_0" for int4; `in` is a multiple of 32.
// rows: (count, in / 32) blocks, no alignment needed
void packBlocks(const PackedWeight& weight, int64_t first, int64_t count, const uint8_t* rows);

// Row `row` of the weights as they are held, for an embedding that shares its weights with the head.   to: (in)
template <typename T>
void unpackRow(const PackedWeight& weight, int64_t row, T* to);

// y = x w^T + b.   x: (rows, in)   y: (rows, out)   X, Y: float or Bf16; y must not overlap x
// OpenMP over outputs or rows; inside a parallel region the calling thread does it all.
template <typename X, typename Y>
void linear(const PackedWeight& weight, const X* x, int64_t rows, Y* y);

// The definition, in FP64 but for the rounding of inputs: what the fast ones are held to.
template <typename X>
void linearNaive(const PackedWeight& weight, const X* x, int64_t rows, double* y);

}  // namespace bt
