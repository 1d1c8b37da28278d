// Where packed weights lie. Columns are outputs of a product; a panel of them lies in one piece, step by step along the
// inputs, so that a kernel reads it from its beginning to its end.
#pragma once
#include <stdint.h>

namespace bt::layout {

// fp32, bf16: panels of 64 columns; a step is 1 input in FP32 or 2 in BF16, 4 bytes a column.
//   (panels, steps, 64, 1 or 2)
// int8, int4: panels of 32 columns; a step is a block of 32 inputs: 32 scales in FP16, then for every 4 inputs 4 bytes
// a
//   column: x + 128 of int8; of int4 x + 8 in the low nibble, and of the next 4 inputs in the high one.
//   (panels, blocks, 64 + (8 or 4) 128 bytes)
// Columns and inputs that are not there count as 0.
constexpr int64_t lanes = 16;  // columns of a vector
constexpr int64_t block = 32;
constexpr int64_t floatColumns = 64, blockColumns = 32;
constexpr int64_t floatStepBytes = 4 * floatColumns;
constexpr int64_t scaleBytes = 2 * blockColumns, quadBytes = 4 * blockColumns;
constexpr int64_t int8StepBytes = scaleBytes + 8 * quadBytes, int4StepBytes = scaleBytes + 4 * quadBytes;

// What a product reads of one row, 32 inputs rounded to 8 bits.
struct InputBlock {
  float scale;
  int32_t start;  // -128 (int8) or -8 (int4) times the sum of values: takes back what was added to the weights
  int8_t values[block];
};

}  // namespace bt::layout
