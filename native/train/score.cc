#include "train/score.h"

#include <ATen/core/grad_mode.h>

#include <string>

#include "model/error.h"
#include "model/log_probs.h"
#include "model/logits.h"
#include "model/reference.h"
#include "model/targets.h"

namespace bt {

std::vector<float> logProbs(Model& model, const Lora* lora, const PackedBatch& batch) {
  const at::NoGradGuard noGrad;
  const at::Tensor hidden = referenceForward(model, lora, batch, {});
  return targetLogProbs(hidden, model.head, targetsOf(batch));
}

std::vector<float> logits(Model& model, const Lora* lora, const PackedBatch& batch) {
  const at::NoGradGuard noGrad;
  const at::Tensor hidden = referenceForward(model, lora, batch, {});
  const at::Tensor values = logitsOf(hidden, model.head);
  const float* data = values.data_ptr<float>();
  return {data, data + values.numel()};
}

std::vector<float> meanHiddenStates(Model& model, const Lora* lora, const PackedBatch& batch) {
  // The forward pass gives the states that predict something: one more token a row makes them all of the row's own.
  PackedBatch longer;
  longer.rows = batch.rows;
  longer.cuSeqlens = {0};
  for (int64_t row = 0; row < batch.rowCount(); ++row) {
    const int32_t begin = batch.cuSeqlens[row], end = batch.cuSeqlens[row + 1];
    if (begin == end) throw Error("BT_ARGUMENT", "batch: row " + std::to_string(batch.rows[row]) + " has no token");
    longer.tokens.insert(longer.tokens.end(), batch.tokens.begin() + begin, batch.tokens.begin() + end);
    longer.tokens.push_back(longer.tokens.back());
    for (int32_t token = begin; token < end; ++token) {
      longer.scored.push_back(token + static_cast<int32_t>(row) + 1);
    }
    longer.cuSeqlens.push_back(static_cast<int32_t>(longer.tokens.size()));
  }
  longer.validate(model.config());
  const at::NoGradGuard noGrad;
  const at::Tensor hidden = referenceForward(model, lora, longer, {});  // (tokens of the batch, hidden)
  std::vector<float> result;
  result.reserve(static_cast<size_t>(batch.rowCount() * hidden.size(1)));
  for (int64_t row = 0; row < batch.rowCount(); ++row) {
    const int64_t begin = batch.cuSeqlens[row], end = batch.cuSeqlens[row + 1];
    const at::Tensor mean =
        hidden.slice(0, begin, end).to(at::ScalarType::Float).mean(at::IntArrayRef{0}).to(at::DeviceType::CPU);
    const float* data = mean.const_data_ptr<float>();
    result.insert(result.end(), data, data + mean.numel());
  }
  return result;
}

}  // namespace bt
