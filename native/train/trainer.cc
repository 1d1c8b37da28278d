#include "train/trainer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_amp_foreach_non_finite_check_and_unscale.h>
#include <ATen/ops/_amp_update_scale.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>

#include "model/abort.h"
#include "model/error.h"
#include "model/targets.h"

namespace bt {

namespace {

int64_t scoredTokens(const std::vector<PackedBatch>& batches) {
  int64_t total = 0;
  for (const auto& batch : batches) total += static_cast<int64_t>(batch.scored.size());
  if (total == 0) throw Error("BT_NO_TARGET", "no token of this step is scored: there is nothing to learn from");
  return total;
}

std::vector<float> toHost(const at::Tensor& flat) {
  const at::Tensor host = flat.cpu().contiguous();
  const float* data = host.data_ptr<float>();
  return {data, data + host.numel()};
}

void fromHost(at::Tensor& flat, const std::vector<float>& values) {
  at::Tensor host = at::empty({flat.numel()}, at::kFloat);
  std::copy(values.begin(), values.end(), host.data_ptr<float>());
  flat.copy_(host);
}

}  // namespace

Trainer::Trainer(std::shared_ptr<Model> model, std::shared_ptr<Lora> lora, const TrainerOptions& options)
    : model_(std::move(model)), lora_(std::move(lora)), options_(options), loss_(model_->head) {
  if (options.recompute && !fused()) {
    throw Error("BT_ARGUMENT", "options.recompute: the reference engine keeps all activations");
  }
  expAvg_ = at::zeros_like(lora_->weights);
  expAvgSq_ = at::zeros_like(lora_->weights);
  if (options.scaled) scale_ = options.initialScale;
  engine_ = fused() ? makeFusedEngine(*model_, *lora_,
                                      {options.engine == EngineKind::aten, options.graphs, options.recompute})
                    : makeReferenceEngine(*model_, *lora_);
}

double Trainer::backward(const std::vector<PackedBatch>& microBatches, int64_t step, double lossScale) {
  const auto total = static_cast<double>(scoredTokens(microBatches));
  const DropoutKey dropout{lora_->options().dropout, options_.seed, step};
  lora_->gradients.zero_();
  double lossSum = 0;
  for (const PackedBatch& batch : microBatches) {
    checkAbort();
    if (batch.scored.empty()) continue;
    const at::Tensor hidden = engine_->forward(batch, dropout, /*keep=*/true);
    const ScoredLoss loss = loss_(hidden, targetsOf(batch), lossScale / total);
    lossSum += loss.lossSum;
    engine_->backward(loss.gradHidden);
  }
  return lossSum / total;
}

double Trainer::gradients(const std::vector<PackedBatch>& microBatches, int64_t step) {
  return backward(microBatches, step, 1);
}

StepResult Trainer::step(const std::vector<PackedBatch>& microBatches, double learningRate, int64_t step) {
  StepResult result;
  result.scoredTokens = scoredTokens(microBatches);
  for (const auto& batch : microBatches) result.tokens += batch.tokenCount();
  result.loss = backward(microBatches, step, scale_);

  const at::NoGradGuard noGrad;
  at::Tensor& gradients = lora_->gradients;
  const auto options = gradients.options();
  at::Tensor overflowed = at::zeros({1}, options);
  if (options_.scaled) {
    at::Tensor inverse = at::full({1}, 1 / scale_, options);
    at::_amp_foreach_non_finite_check_and_unscale_(gradients, overflowed, inverse);
  }
  result.gradNorm = gradients.norm().item<double>();
  result.skipped = overflowed.item<float>() > 0 || !std::isfinite(result.gradNorm) || !std::isfinite(result.loss);
  if (!result.skipped) {
    if (options_.maxGradNorm > 0 && result.gradNorm > options_.maxGradNorm) {
      gradients.mul_(options_.maxGradNorm / (result.gradNorm + 1e-6));
    }
    ++optimizerStep_;
    at::Tensor count = at::full({}, static_cast<double>(optimizerStep_), options);
    at::_fused_adamw_({lora_->weights}, {gradients}, {expAvg_}, {expAvgSq_}, {}, {count}, learningRate, options_.beta1,
                      options_.beta2, options_.weightDecay, options_.eps, /*amsgrad=*/false, /*maximize=*/false);
  }
  if (options_.scaled) {
    at::Tensor scale = at::full({1}, scale_, options);
    at::Tensor tracker = at::full({1}, growthTracker_, options.dtype(at::kInt));
    overflowed.fill_(result.skipped ? 1 : 0);
    at::_amp_update_scale_(scale, tracker, overflowed, 2.0, 0.5, options_.growthInterval);
    // Never 0, which would ask for no gradient at all.
    scale_ = std::max(scale.item<float>(), 0x1p-24f);
    growthTracker_ = tracker.item<int32_t>();
  }
  result.scale = scale_;
  return result;
}

EvaluateResult Trainer::evaluate(const PackedBatch& batch) {
  const at::NoGradGuard noGrad;
  if (batch.scored.empty()) return {};
  const at::Tensor hidden = engine_->forward(batch, {}, /*keep=*/false);
  return {loss_(hidden, targetsOf(batch), 0).lossSum, static_cast<int64_t>(batch.scored.size())};
}

BufferBytes Trainer::buffers() const {
  BufferBytes bytes;
  engine_->addBuffers(bytes);
  loss_.addBuffers(bytes);
  return bytes;
}

TrainerState Trainer::state() const {
  return {optimizerStep_, scale_, growthTracker_, toHost(expAvg_), toHost(expAvgSq_)};
}

void Trainer::restore(const TrainerState& state) {
  const auto length = static_cast<size_t>(expAvg_.numel());
  if (state.expAvg.size() != length || state.expAvgSq.size() != length) {
    throw Error("BT_ARGUMENT", "trainer state: moments of " + std::to_string(state.expAvg.size()) + " and " +
                                   std::to_string(state.expAvgSq.size()) + " values for an adapter of " +
                                   std::to_string(length));
  }
  const at::NoGradGuard noGrad;
  fromHost(expAvg_, state.expAvg);
  fromHost(expAvgSq_, state.expAvgSq);
  optimizerStep_ = state.optimizerStep;
  if (!options_.scaled) return;
  scale_ = state.scale;
  growthTracker_ = state.growthTracker;
}

}  // namespace bt
