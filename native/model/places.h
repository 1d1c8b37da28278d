// Where each token of a packed batch stands.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "model/batch.h"

namespace bt {

struct Places {
  std::vector<int32_t> row, position;  // [T] row id and position in its row
  int32_t longest = 0;                 // tokens of the longest row, those before its start included

  Places() = default;
  // starts: [n] position of each row's first token; empty: 0.
  explicit Places(const PackedBatch& batch, const std::vector<int32_t>& starts = {})
      : row(batch.tokens.size()), position(batch.tokens.size()) {
    for (size_t i = 0; i < batch.rows.size(); ++i) {
      const int32_t before = batch.cuSeqlens[i] - (starts.empty() ? 0 : starts[i]);
      longest = std::max(longest, batch.cuSeqlens[i + 1] - before);
      for (int32_t t = batch.cuSeqlens[i]; t < batch.cuSeqlens[i + 1]; ++t) {
        row[t] = batch.rows[i];
        position[t] = t - before;
      }
    }
  }
};

// The token before each scored one: whose hidden state predicts it.
inline std::vector<int32_t> predictingTokens(const PackedBatch& batch) {
  std::vector<int32_t> tokens(batch.scored.size());
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = batch.scored[i] - 1;
  return tokens;
}

}  // namespace bt
