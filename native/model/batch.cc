#include "model/batch.h"

#include <limits>

#include "model/error.h"

namespace bt {

namespace {
[[noreturn]] void refuse(const std::string& what) { throw Error("BT_ARGUMENT", "batch: " + what); }
}  // namespace

void PackedBatch::validate(const ModelConfig& config) const {
  if (tokens.size() > std::numeric_limits<int32_t>::max()) refuse("more tokens than 32 bits can count");
  const auto total = static_cast<int32_t>(tokens.size());
  if (total == 0) refuse("tokens is empty");
  if (cuSeqlens.size() != rows.size() + 1) {
    refuse("cuSeqlens has " + std::to_string(cuSeqlens.size()) + " entries for " + std::to_string(rows.size()) +
           " rows; one more than rows is needed");
  }
  if (cuSeqlens.front() != 0 || cuSeqlens.back() != total) {
    refuse("cuSeqlens runs from " + std::to_string(cuSeqlens.front()) + " to " + std::to_string(cuSeqlens.back()) +
           "; 0 to " + std::to_string(total) + " (the number of tokens) is needed");
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    if (cuSeqlens[i + 1] <= cuSeqlens[i]) refuse("row " + std::to_string(rows[i]) + " has no tokens");
  }
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= config.vocabSize) {
      refuse("token " + std::to_string(tokens[i]) + " at " + std::to_string(i) + " is outside the vocabulary of " +
             std::to_string(config.vocabSize));
    }
  }
  size_t row = 0;
  int32_t before = -1;
  for (const int32_t index : scored) {
    if (index < 0 || index >= total) refuse("scored index " + std::to_string(index) + " is out of range");
    if (index <= before) refuse("scored indices must ascend");
    while (index >= cuSeqlens[row + 1]) ++row;
    if (index == cuSeqlens[row]) {
      refuse("the first token of row " + std::to_string(rows[row]) + " cannot be scored: nothing predicts it");
    }
    before = index;
  }
}

}  // namespace bt
