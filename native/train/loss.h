// Cross-entropy of scored tokens, with its own gradient: the logits of all tokens never exist at once.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/arena.h"

namespace bt {

struct ScoredLoss {
  double lossSum = 0;  // nats, over all S tokens
  at::Tensor
      gradHidden;  // [S, hidden] in hidden's dtype: d(gradScale * lossSum) / d hidden; undefined without gradient
};

// The loss of one run's steps over a frozen head. Keeps its buffers: a chunk of rows of 32 MB of logits, 512 MB on a
// GPU (twice that again, in FP32, where it has no libbt_cuda), and of 16 rows at least.
class CrossEntropy {
 public:
  // head: [vocab, hidden]
  explicit CrossEntropy(const at::Tensor& head);

  // hidden: [S, hidden] in head's dtype; targets: S token ids. gradScale 0: no gradient. The result's tensor is valid
  // until the next call.
  ScoredLoss operator()(const at::Tensor& hidden, const std::vector<int32_t>& targets, double gradScale);

  void addBuffers(BufferBytes& bytes) const { arena_.addTo(bytes); }

 private:
  const at::Tensor head_;
  Arena arena_;
};

}  // namespace bt
