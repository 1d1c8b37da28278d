#include "sample/scoring.h"

#include <algorithm>
#include <memory>
#include <string>

#include "kernels/log_sum_exp.h"
#include "kernels/parallel.h"
#include "model/error.h"

namespace bt {

namespace {

// Rows computed together have at least this many tokens, if there are more.
constexpr int64_t passTokens = 1024;
// Logits that are computed at a time: 64 MB.
constexpr int64_t logitValues = int64_t{1} << 24;

// What of a row is computed to score it.
struct ScoredRow {
  CachedSequence cached;
  int64_t first = 0;             // token that predicts the first scored one
  std::vector<int64_t> scored;   // places in the row
  std::vector<int32_t> targets;  // their tokens
};

std::vector<std::unique_ptr<ScoredRow>> scoredRows(const PackedBatch& batch) {
  std::vector<std::unique_ptr<ScoredRow>> rows;
  size_t next = 0;
  for (int64_t i = 0; i < batch.rowCount(); ++i) {
    auto row = std::make_unique<ScoredRow>();
    const int32_t begin = batch.cuSeqlens[i], end = batch.cuSeqlens[i + 1];
    for (; next < batch.scored.size() && batch.scored[next] < end; ++next) {
      row->scored.push_back(batch.scored[next] - begin);
      row->targets.push_back(batch.tokens[batch.scored[next]]);
    }
    if (row->scored.empty()) continue;
    row->first = row->scored.front() - 1;
    const auto from = batch.tokens.begin() + begin;
    row->cached.tokens.assign(from, from + row->scored.back());
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

std::vector<float> scoreByPasses(SamplerEngine& engine, const ModelConfig& config, const PackedBatch& batch) {
  batch.validate(config);
  const int64_t vocab = config.vocabSize, most = std::max<int64_t>(1, logitValues / vocab);
  std::vector<std::unique_ptr<ScoredRow>> rows = scoredRows(batch);
  std::vector<float> result;
  for (size_t first = 0; first < rows.size();) {
    std::vector<Share> parts;
    int64_t tokens = 0;
    size_t last = first;
    while (last < rows.size() && (last == first || tokens < passTokens)) {
      ScoredRow& row = *rows[last];
      const auto length = static_cast<int64_t>(row.cached.tokens.size());
      if (!engine.open(row.cached, length, row.first, 0)) break;
      tokens += length - row.cached.length;
      parts.push_back({&row.cached, {}, length - row.first});
      ++last;
    }
    if (parts.empty()) {
      throw Error("BT_ARGUMENT", "batch: a row of " + std::to_string(rows[first]->cached.tokens.size()) +
                                     " tokens finds no room in the cache, which holds " +
                                     std::to_string(engine.capacity()) + " with those that run");
    }
    try {
      engine.run(parts);
      int64_t place = 0;  // of logits
      for (size_t i = first; i < last; ++i) {
        const ScoredRow& row = *rows[i];
        for (size_t begin = 0; begin < row.scored.size();) {
          // Scored tokens whose logits lie within `most` rows.
          size_t end = begin + 1;
          while (end < row.scored.size() && row.scored[end] - row.scored[begin] < most) ++end;
          const float* logits =
              engine.logits(place + row.scored[begin] - 1 - row.first, row.scored[end - 1] - row.scored[begin] + 1);
          std::vector<float> values(end - begin);
          parallelTasks(static_cast<int64_t>(end - begin), [&](int64_t s) {
            const float* at = logits + (row.scored[begin + s] - row.scored[begin]) * vocab;
            values[s] = static_cast<float>(at[row.targets[begin + s]] - logSumExp(at, vocab));
          });
          result.insert(result.end(), values.begin(), values.end());
          begin = end;
        }
        place += static_cast<int64_t>(row.cached.tokens.size()) - row.first;
      }
    } catch (...) {
      for (size_t i = first; i < last; ++i) engine.close(rows[i]->cached);
      engine.forget();
      throw;
    }
    for (size_t i = first; i < last; ++i) {
      rows[i]->cached.length = static_cast<int64_t>(rows[i]->cached.tokens.size());
      engine.close(rows[i]->cached);
    }
    first = last;
  }
  return result;
}

}  // namespace bt
