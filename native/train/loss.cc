#include "train/loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>

#include <algorithm>

#include "model/abort.h"

namespace bt {

namespace {

constexpr int64_t chunkBytes = 64 << 20;

int64_t chunkRows(int64_t vocab) { return std::max<int64_t>(16, chunkBytes / (4 * vocab)); }

// Calls visit(begin, hidden rows, target column [n, 1]) for each chunk.
template <typename Visit>
void eachChunk(const at::Tensor& hidden, const at::Tensor& head, const std::vector<int32_t>& targets, Visit visit) {
  const int64_t total = hidden.size(0), step = chunkRows(head.size(0));
  const at::Tensor ids =
      at::from_blob(const_cast<int32_t*>(targets.data()), {total}, at::kInt).to(hidden.device(), at::kLong);
  for (int64_t begin = 0; begin < total; begin += step) {
    checkAbort();
    const int64_t count = std::min(step, total - begin);
    visit(begin, hidden.narrow(0, begin, count), ids.narrow(0, begin, count).unsqueeze(1));
  }
}

}  // namespace

ScoredLoss scoredLoss(const at::Tensor& hidden, const at::Tensor& head, const std::vector<int32_t>& targets,
                      double gradScale) {
  const at::NoGradGuard noGrad;
  ScoredLoss result;
  if (gradScale != 0) result.gradHidden = at::empty_like(hidden);
  eachChunk(hidden, head, targets, [&](int64_t begin, const at::Tensor& rows, const at::Tensor& target) {
    at::Tensor logits = at::linear(rows, head).to(at::kFloat);
    const at::Tensor normalizer = logits.logsumexp(1, true);
    result.lossSum += (normalizer - logits.gather(1, target)).sum(at::kDouble).item<double>();
    if (gradScale == 0) return;
    // d loss / d logits = softmax - one-hot
    logits.sub_(normalizer).exp_();
    logits.scatter_add_(1, target, at::full(target.sizes(), -1.0, logits.options()));
    logits.mul_(gradScale);
    result.gradHidden.narrow(0, begin, rows.size(0)).copy_(at::matmul(logits.to(head.scalar_type()), head));
  });
  return result;
}

std::vector<float> targetLogProbs(const at::Tensor& hidden, const at::Tensor& head,
                                  const std::vector<int32_t>& targets) {
  const at::NoGradGuard noGrad;
  std::vector<float> result;
  result.reserve(targets.size());
  eachChunk(hidden, head, targets, [&](int64_t, const at::Tensor& rows, const at::Tensor& target) {
    const at::Tensor logits = at::linear(rows, head).to(at::kFloat);
    const at::Tensor chosen = (logits.gather(1, target) - logits.logsumexp(1, true)).cpu().contiguous();
    const float* data = chosen.data_ptr<float>();
    result.insert(result.end(), data, data + chosen.numel());
  });
  return result;
}

}  // namespace bt
