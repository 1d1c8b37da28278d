#include "train/score.h"

#include <ATen/core/grad_mode.h>

#include "model/error.h"
#include "model/logits.h"
#include "model/reference.h"
#include "train/loss.h"
#include "train/targets.h"

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

}  // namespace bt
