// Rows laid end to end, never padded. Mirrors PackedBatch of binding.d.ts.
#pragma once
#include <cstdint>
#include <vector>

#include "model/config.h"

namespace bt {

struct PackedBatch {
  std::vector<int32_t> tokens;     // [T]
  std::vector<int32_t> cuSeqlens;  // [n + 1]
  std::vector<int32_t> scored;     // [S] indices of tokens to be predicted, ascending
  std::vector<int32_t> rows;       // [n] row ids

  int64_t tokenCount() const { return static_cast<int64_t>(tokens.size()); }
  int64_t rowCount() const { return static_cast<int64_t>(rows.size()); }

  // Throws Error BT_ARGUMENT naming the row when indices are out of range, out of order or a first token is scored.
  void validate(const ModelConfig& config) const;
};

}  // namespace bt
