// Cross-entropy of scored tokens, with its own gradient: the logits of all tokens never exist at once.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace bt {

struct ScoredLoss {
  double lossSum = 0;  // nats, over all S tokens
  at::Tensor
      gradHidden;  // [S, hidden] in hidden's dtype: d(gradScale * lossSum) / d hidden; undefined without gradient
};

// hidden: [S, hidden]; head: [vocab, hidden], frozen; targets: S token ids. gradScale 0: no gradient.
// Works in chunks of rows of at most 64 MB of FP32 logits.
ScoredLoss scoredLoss(const at::Tensor& hidden, const at::Tensor& head, const std::vector<int32_t>& targets,
                      double gradScale);

// [S] log p of each target, nats.
std::vector<float> targetLogProbs(const at::Tensor& hidden, const at::Tensor& head,
                                  const std::vector<int32_t>& targets);

}  // namespace bt
