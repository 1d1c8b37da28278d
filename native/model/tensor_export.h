// One weight on its way out: read from its file in FP32, with a low-rank update added, and rounded once to the type
// that it is written as. Which weights there are, and the files they go to, is TypeScript's affair.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/config.h"

namespace bt {

// Added to a weight [out, in]: scale * B A.
struct LowRankUpdate {
  double scale = 1;
  int64_t r = 0;
  std::vector<float> a, b;  // [r, in], [out, r]
};

struct TensorExport {
  std::string path;
  TensorEntry tensor;            // where the weight lies in that file; entry.file is not looked at
  std::string type;              // "F32", "F16", "BF16", "Q8_0", "Q4_0"
  int64_t interleavedHeads = 0;  // > 0: rows are written in interleaved rotary order in that many heads
  std::optional<LowRankUpdate> update;
};

// The weight's bytes as `type` stores them, row-major, on all OpenMP threads.
// Throws Error BT_IO, BT_TENSOR_SHAPE (of the entry, of the update beside it, of rows that are not whole blocks or
// heads), BT_TENSOR_OUT_OF_RANGE, BT_TENSOR_RANGE when the type cannot hold a value, BT_ABORTED.
std::vector<uint8_t> exportTensor(const TensorExport& request);

}  // namespace bt
