#include "model/budget.h"

#include <algorithm>
#include <bit>

namespace bt {

namespace {

constexpr int64_t kLeast = 64;
// To a graph these are limits alone: a few large ones make few sizes.
constexpr int64_t kLeastRows = 16, kLeastLength = 512;

// Up to one of eight steps between powers of two.
int64_t step(int64_t n) {
  const int64_t size = std::max(kLeast, slots(n) / 16);
  return std::max(kLeast, (n + size - 1) / size * size);
}

int64_t longestRow(const PackedBatch& batch) {
  int64_t longest = 0;
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    longest = std::max<int64_t>(longest, batch.cuSeqlens[i + 1] - batch.cuSeqlens[i]);
  }
  return longest;
}

}  // namespace

int64_t slots(int64_t n) { return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(n, 1)))); }

PackedBatch padded(const PackedBatch& batch) {
  const int64_t longest = longestRow(batch);
  const auto scored = static_cast<int64_t>(batch.scored.size());
  const int64_t addScored = longest > 1 ? std::max(kLeast, slots(scored)) - scored : 0;
  // A row of n tokens has n - 1 that can be scored.
  const int64_t least = addScored > 0 ? addScored + (addScored + longest - 2) / (longest - 1) : 0;
  const int64_t total = step(batch.tokenCount() + least);

  PackedBatch result = batch;
  int64_t missing = addScored;
  while (result.tokenCount() < total) {
    const int64_t begin = result.tokenCount(), length = std::min(longest, total - begin);
    result.tokens.resize(begin + length, 0);
    result.cuSeqlens.push_back(static_cast<int32_t>(begin + length));
    result.rows.push_back(-1);
    for (int64_t i = 1; i < length && missing > 0; ++i, --missing) {
      result.scored.push_back(static_cast<int32_t>(begin + i));
    }
  }
  return result;
}

Budget budgetOf(const PackedBatch& batch) {
  return {batch.tokenCount(), static_cast<int64_t>(batch.scored.size()), std::max(kLeastRows, slots(batch.rowCount())),
          std::max(kLeastLength, slots(longestRow(batch)))};
}

}  // namespace bt
