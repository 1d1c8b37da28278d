#include "model/log_probs.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linear.h>

#include "model/logits.h"

namespace bt {

namespace {

// Of logits at a time; a GPU holds them twice again in FP32.
int64_t chunkBytes(at::Device device) { return device.is_cpu() ? 32 << 20 : 128 << 20; }

}  // namespace

at::Tensor targetColumn(const int32_t* targets, int64_t rows, const at::Tensor& like) {
  return at::from_blob(const_cast<int32_t*>(targets), {rows, 1}, at::kInt).to(like.device(), at::kLong);
}

std::vector<float> targetLogProbs(const at::Tensor& hidden, const at::Tensor& head,
                                  const std::vector<int32_t>& targets) {
  const at::NoGradGuard noGrad;
  std::vector<float> result;
  result.reserve(targets.size());
  eachLogitChunk(hidden.size(0), head, chunkBytes(head.device()), [&](int64_t begin, int64_t rows) {
    const at::Tensor some = hidden.narrow(0, begin, rows);
    // From a GPU one number a row is fetched, and not the vocabulary's.
    const at::Tensor logits = hidden.is_cpu() ? logitsOf(some, head) : at::linear(some, head).to(at::kFloat);
    const at::Tensor target = targetColumn(targets.data() + begin, rows, logits);
    const at::Tensor chosen = (logits.gather(1, target) - logits.logsumexp(1, true)).cpu().contiguous();
    const float* data = chosen.const_data_ptr<float>();
    result.insert(result.end(), data, data + chosen.numel());
  });
  return result;
}

}  // namespace bt
