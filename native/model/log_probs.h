// Log-probabilities of chosen tokens from final hidden states: the logits of all tokens never exist at once.
#pragma once
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "model/abort.h"

namespace bt {

// Calls visit(begin, rows) for chunks of `total` rows whose logits take about so many bytes, and 16 rows at least.
// head: [vocab, hidden]
template <typename Visit>
void eachLogitChunk(int64_t total, const at::Tensor& head, int64_t bytes, Visit visit) {
  const int64_t rowBytes = head.size(0) * static_cast<int64_t>(head.element_size());
  const int64_t step = std::max<int64_t>(16, bytes / rowBytes);
  for (int64_t begin = 0; begin < total; begin += step) {
    checkAbort();
    visit(begin, std::min(step, total - begin));
  }
}

// [rows, 1] ids on the device of `like`.
at::Tensor targetColumn(const int32_t* targets, int64_t rows, const at::Tensor& like);

// [S] log p of each target, nats.   hidden: [S, hidden]   head: [vocab, hidden], both in the model's dtype
std::vector<float> targetLogProbs(const at::Tensor& hidden, const at::Tensor& head,
                                  const std::vector<int32_t>& targets);

}  // namespace bt
