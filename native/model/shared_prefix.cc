#include "model/shared_prefix.h"

#include <algorithm>

namespace bt {

int64_t sharedPrefix(const PackedBatch& batch) {
  if (batch.rowCount() < 2 || batch.scored.empty()) return 0;
  const auto row = [&](int64_t i) { return batch.tokens.data() + batch.cuSeqlens[i]; };
  // A token of each row stays its own, and so do those that predict.
  int64_t shared = batch.cuSeqlens[1] - 1;
  for (int64_t i = 1; i < batch.rowCount(); ++i) {
    const int64_t most = std::min<int64_t>(shared, batch.cuSeqlens[i + 1] - batch.cuSeqlens[i] - 1);
    shared = std::mismatch(row(0), row(0) + std::max<int64_t>(0, most), row(i)).first - row(0);
  }
  size_t next = 0;
  for (int64_t i = 0; i < batch.rowCount() && next < batch.scored.size(); ++i) {
    while (next < batch.scored.size() && batch.scored[next] < batch.cuSeqlens[i]) ++next;
    if (next == batch.scored.size() || batch.scored[next] >= batch.cuSeqlens[i + 1]) continue;
    shared = std::min<int64_t>(shared, batch.scored[next] - 1 - batch.cuSeqlens[i]);
  }
  return std::max<int64_t>(0, shared);
}

PackedBatch withoutRepeats(const PackedBatch& batch, int64_t prefix) {
  PackedBatch result;
  result.rows = batch.rows;
  result.cuSeqlens = {0};
  size_t next = 0;
  for (int64_t i = 0; i < batch.rowCount(); ++i) {
    const int32_t skipped = i > 0 ? static_cast<int32_t>(prefix) : 0;
    const int32_t begin = batch.cuSeqlens[i] + skipped, end = batch.cuSeqlens[i + 1];
    const int32_t moved = static_cast<int32_t>(result.tokens.size()) - begin;
    for (; next < batch.scored.size() && batch.scored[next] < end; ++next) {
      result.scored.push_back(batch.scored[next] + moved);
    }
    result.tokens.insert(result.tokens.end(), batch.tokens.begin() + begin, batch.tokens.begin() + end);
    result.cuSeqlens.push_back(static_cast<int32_t>(result.tokens.size()));
  }
  return result;
}

}  // namespace bt
