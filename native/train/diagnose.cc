// Where a step's numbers stopped being finite: its weights, its forward pass layer by layer, its losses, and the
// gradient of each row alone.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "model/abort.h"
#include "model/log_probs.h"
#include "model/places.h"
#include "model/targets.h"
#include "train/trainer.h"

namespace bt {

namespace {

bool finite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

// First token whose hidden state is not finite, or -1.   x: [T, hidden]
int64_t firstNotFinite(const at::Tensor& x) {
  const at::Tensor good = at::isfinite(x).all(1).cpu();
  const bool* flags = good.const_data_ptr<bool>();
  const bool* end = flags + good.numel();
  const bool* first = std::find(flags, end, false);
  return first == end ? -1 : first - flags;
}

// "layers.3.self_attn.q_proj.lora_A" -> 3
int64_t layerOf(const std::string& name) { return std::strtoll(name.c_str() + name.find('.') + 1, nullptr, 10); }

// One row of a batch as a batch.
PackedBatch rowAlone(const PackedBatch& batch, size_t row) {
  const int32_t begin = batch.cuSeqlens[row], end = batch.cuSeqlens[row + 1];
  PackedBatch alone;
  alone.tokens.assign(batch.tokens.begin() + begin, batch.tokens.begin() + end);
  alone.cuSeqlens = {0, end - begin};
  for (const int32_t token : batch.scored) {
    if (token >= begin && token < end) alone.scored.push_back(token - begin);
  }
  alone.rows = {batch.rows[row]};
  return alone;
}

}  // namespace

std::optional<NotFinite> Trainer::inWeights() const {
  for (const NamedMatrix& matrix : lora_->matrices()) {
    if (!finite(matrix.data)) return NotFinite{NotFinite::What::weight, layerOf(matrix.name), -1, matrix.name};
  }
  return std::nullopt;
}

std::optional<NotFinite> Trainer::inForward(const PackedBatch& batch, int64_t step) {
  const at::NoGradGuard noGrad;
  const Places places(batch);
  std::optional<NotFinite> found;
  const DropoutKey dropout{lora_->options().dropout, options_.seed, step};
  const at::Tensor hidden =
      referenceForward(*model_, lora_.get(), batch, dropout, [&](int64_t layer, const at::Tensor& x) {
        if (found) return;
        const int64_t token = firstNotFinite(x);
        if (token >= 0) found = NotFinite{NotFinite::What::hidden, layer, places.row[token], ""};
      });
  if (found) return found;
  const std::vector<float> scores = targetLogProbs(hidden, model_->head, targetsOf(batch));
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isfinite(scores[i])) continue;
    return NotFinite{NotFinite::What::loss, model_->config().layers, places.row[batch.scored[i]], ""};
  }
  return std::nullopt;
}

// The highest layer comes first in the backward pass.
std::optional<NotFinite> Trainer::inGradient(const PackedBatch& row, int64_t step, double lossScale) {
  backward({row}, step, lossScale);
  const std::vector<NamedMatrix> matrices = lora_->matrices(lora_->gradients);
  for (auto matrix = matrices.rbegin(); matrix != matrices.rend(); ++matrix) {
    if (finite(matrix->data)) continue;
    return NotFinite{NotFinite::What::gradient, layerOf(matrix->name), row.rows[0], matrix->name};
  }
  return std::nullopt;
}

std::optional<NotFinite> Trainer::diagnose(const std::vector<PackedBatch>& microBatches, int64_t step) {
  if (auto found = inWeights()) return found;
  for (const PackedBatch& batch : microBatches) {
    checkAbort();
    if (auto found = inForward(batch, step)) return found;
  }
  for (const PackedBatch& batch : microBatches) {
    for (size_t row = 0; row < batch.rows.size(); ++row) {
      checkAbort();
      const PackedBatch alone = rowAlone(batch, row);
      if (alone.scored.empty()) continue;
      if (auto found = inGradient(alone, step, scale_)) return found;
    }
  }
  return std::nullopt;
}

}  // namespace bt
