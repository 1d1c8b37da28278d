#include "model/sequence_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bt {

namespace {

constexpr int64_t kMostScores = 16 << 20;  // 64 MB of FP32

// Some queries, and the keys that any of them sees.
struct Block {
  int64_t query, queries, key, keys;
};

template <typename Visit>
void eachBlock(const at::Tensor& q, int64_t window, Visit visit) {
  const int64_t length = q.size(0), heads = q.size(1);
  const int64_t step = std::clamp<int64_t>(kMostScores / std::max<int64_t>(1, heads * length), 16, 1024);
  for (int64_t begin = 0; begin < length; begin += step) {
    const int64_t end = std::min(length, begin + step);
    const int64_t key = window > 0 ? std::max<int64_t>(0, begin - window + 1) : 0;
    visit(Block{begin, end - begin, key, end - key});
  }
}

// Rows [first, first + count) of [S, heads, headDim] as [kvHeads, heads / kvHeads * count, headDim] FP32: the queries
// that share a key-value head below one another, head by head.
at::Tensor grouped(const at::Tensor& x, int64_t kvHeads, int64_t first, int64_t count) {
  const int64_t heads = x.size(1), d = x.size(2);
  const at::Tensor rows = x.narrow(0, first, count).to(at::kFloat);
  return rows.view({count, kvHeads, heads / kvHeads, d}).permute({1, 2, 0, 3}).reshape({kvHeads, -1, d});
}
// Back to [count, heads, headDim].
at::Tensor ungrouped(const at::Tensor& x, int64_t heads, int64_t count) {
  const int64_t kvHeads = x.size(0), d = x.size(2);
  return x.view({kvHeads, heads / kvHeads, count, d}).permute({2, 0, 1, 3}).reshape({count, heads, d});
}

// Scores [kvHeads, group * queries, keys] of a block, -infinity where a query may not look.
at::Tensor scoresOf(const at::Tensor& q, const at::Tensor& k, const Block& block, int64_t window, double scale) {
  at::Tensor scores = at::bmm(q, k.transpose(1, 2)).mul_(scale);
  const auto options = at::TensorOptions().dtype(at::kLong).device(q.device());
  const at::Tensor query = at::arange(block.query, block.query + block.queries, options).unsqueeze(1);
  const at::Tensor key = at::arange(block.key, block.key + block.keys, options).unsqueeze(0);
  at::Tensor hidden = key > query;
  if (window > 0) hidden.logical_or_(key <= query - window);
  scores.view({k.size(0), -1, block.queries, block.keys})
      .masked_fill_(hidden, -std::numeric_limits<double>::infinity());
  return scores;
}

double scaleOf(const at::Tensor& q) { return 1 / std::sqrt(static_cast<double>(q.size(2))); }

}  // namespace

void sequenceAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t window, at::Tensor out,
                       at::Tensor logSumExp) {
  const int64_t heads = q.size(1), kvHeads = k.size(1);
  eachBlock(q, window, [&](const Block& block) {
    const at::Tensor keys = grouped(k, kvHeads, block.key, block.keys);
    const at::Tensor values = grouped(v, kvHeads, block.key, block.keys);
    at::Tensor scores = scoresOf(grouped(q, kvHeads, block.query, block.queries), keys, block, window, scaleOf(q));
    const at::Tensor normalizer = scores.logsumexp(-1, true);
    const at::Tensor attended = at::bmm(scores.sub_(normalizer).exp_(), values);
    out.narrow(0, block.query, block.queries).copy_(ungrouped(attended, heads, block.queries));
    logSumExp.narrow(0, block.query, block.queries).copy_(ungrouped(normalizer, heads, block.queries).squeeze(-1));
  });
}

void sequenceAttentionBackward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t window,
                               const at::Tensor& out, const at::Tensor& logSumExp, const at::Tensor& dOut,
                               at::Tensor dq, at::Tensor dk, at::Tensor dv) {
  const int64_t length = q.size(0), heads = q.size(1), kvHeads = k.size(1), d = q.size(2);
  const double scale = scaleOf(q);
  at::Tensor gradK = at::zeros({kvHeads, length, d}, k.options().dtype(at::kFloat)), gradV = at::zeros_like(gradK);
  eachBlock(q, window, [&](const Block& block) {
    const auto ofBlock = [&](const at::Tensor& x) { return grouped(x, kvHeads, block.query, block.queries); };
    const at::Tensor keys = grouped(k, kvHeads, block.key, block.keys);
    const at::Tensor values = grouped(v, kvHeads, block.key, block.keys);
    const at::Tensor queries = ofBlock(q), grads = ofBlock(dOut);
    at::Tensor probabilities = scoresOf(queries, keys, block, window, scale);
    probabilities.sub_(ofBlock(logSumExp.unsqueeze(-1))).exp_();
    gradV.narrow(1, block.key, block.keys).add_(at::bmm(probabilities.transpose(1, 2), grads));
    // d loss / d score = p (d loss / d p - sum over keys of p d loss / d p), and that sum is dOut . out.
    at::Tensor gradScores = at::bmm(grads, values.transpose(1, 2));
    gradScores.sub_((grads * ofBlock(out)).sum(-1, true)).mul_(probabilities).mul_(scale);
    dq.narrow(0, block.query, block.queries).copy_(ungrouped(at::bmm(gradScores, keys), heads, block.queries));
    gradK.narrow(1, block.key, block.keys).add_(at::bmm(gradScores.transpose(1, 2), queries));
  });
  dk.copy_(gradK.transpose(0, 1));
  dv.copy_(gradV.transpose(0, 1));
}

}  // namespace bt
