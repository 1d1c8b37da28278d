#include "sample/aten_engine.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/index_select.h>

#include <algorithm>

#include "kernels/log_sum_exp.h"
#include "model/abort.h"
#include "model/autocast.h"
#include "model/decoder.h"
#include "model/logits.h"
#include "model/reference.h"

namespace bt {

namespace {

at::Tensor indices(const std::vector<int64_t>& values, at::Device device) {
  return at::from_blob(const_cast<int64_t*>(values.data()), {static_cast<int64_t>(values.size())}, at::kLong)
      .to(device, at::kLong, /*non_blocking=*/false, /*copy=*/true);
}

}  // namespace

AtenEngine::AtenEngine(std::shared_ptr<Model> model, std::shared_ptr<Lora> lora, int64_t slots, int64_t maxTokens)
    : model_(std::move(model)), lora_(std::move(lora)), maxTokens_(maxTokens) {
  model_->load();
  const ModelConfig& config = model_->config();
  const auto options = at::TensorOptions().dtype(model_->dtype()).device(model_->device());
  for (int64_t l = 0; l < config.layers; ++l) {
    keys_.push_back(at::empty({slots * maxTokens, config.kvHeads, config.headDim}, options));
    values_.push_back(at::empty_like(keys_.back()));
  }
  for (int64_t slot = slots; slot-- > 0;) freeSlots_.push_back(static_cast<int32_t>(slot));
}

bool AtenEngine::open(CachedSequence& sequence, int64_t, int64_t, int64_t) {
  if (freeSlots_.empty()) return false;
  sequence.blocks = {freeSlots_.back()};
  sequence.length = 0;
  freeSlots_.pop_back();
  return true;
}

void AtenEngine::close(CachedSequence& sequence) {
  freeSlots_.insert(freeSlots_.end(), sequence.blocks.begin(), sequence.blocks.end());
  sequence.blocks.clear();
}

void AtenEngine::run(const std::vector<Share>& shares) {
  const at::NoGradGuard noGrad;
  const ModelConfig& config = model_->config();
  const at::Device device = model_->device();
  const AutocastGuard autocast(device, model_->dtype());
  std::vector<int64_t> ids, positions, places, asked, counts;
  for (const auto& [sequence, proposed, logits] : shares) {
    const auto before = static_cast<int64_t>(ids.size());
    ids.insert(ids.end(), sequence->tokens.begin() + sequence->length, sequence->tokens.end());
    ids.insert(ids.end(), proposed.begin(), proposed.end());
    counts.push_back(static_cast<int64_t>(ids.size()) - before);
    for (int64_t i = 0; i < counts.back(); ++i) {
      positions.push_back(sequence->length + i);
      places.push_back(sequence->blocks[0] * maxTokens_ + sequence->length + i);
      if (i >= counts.back() - logits) asked.push_back(before + i);
    }
  }
  const at::Tensor positionIds = indices(positions, device), cacheIds = indices(places, device);
  const auto [cosTable, sinTable] = model_->rotary(*std::max_element(positions.begin(), positions.end()) + 1);
  const at::Tensor cos = cosTable.index_select(0, positionIds).unsqueeze(1);
  const at::Tensor sin = sinTable.index_select(0, positionIds).unsqueeze(1);

  at::Tensor x = at::embedding(model_->embedding, indices(ids, device));
  for (int64_t l = 0; l < config.layers; ++l) {
    checkAbort();
    const DecoderLayer& layer = model_->layers[l];
    const LayerLora adapter{lora_.get(), l, {}};
    const Heads heads = project(config, layer, adapter, rmsNorm(x, layer.inputNorm, config.rmsNormEps), cos, sin);
    keys_[l].index_copy_(0, cacheIds, heads.k);
    values_[l].index_copy_(0, cacheIds, heads.v);
    std::vector<at::Tensor> attended;
    int64_t begin = 0;
    for (size_t i = 0; i < shares.size(); ++i) {
      const CachedSequence& sequence = *shares[i].sequence;
      const int64_t base = sequence.blocks[0] * maxTokens_, known = sequence.length + counts[i];
      attended.push_back(attend(config, heads.q.narrow(0, begin, counts[i]), keys_[l].narrow(0, base, known),
                                values_[l].narrow(0, base, known)));
      begin += counts[i];
    }
    x = x + attentionOut(layer, adapter, attended.size() == 1 ? attended[0] : at::cat(attended, 0));
    x = x + feedForward(layer, adapter, rmsNorm(x, layer.postNorm, config.rmsNormEps));
  }
  hidden_ = rmsNorm(x.index_select(0, indices(asked, device)), model_->finalNorm, config.rmsNormEps);
}

float* AtenEngine::logits(int64_t first, int64_t count) {
  const at::NoGradGuard noGrad;
  logits_ = logitsOf(hidden_.narrow(0, first, count), model_->head);
  return logits_.data_ptr<float>();
}

std::vector<float> AtenEngine::logProbs(const PackedBatch& batch) {
  const at::NoGradGuard noGrad;
  const at::Tensor hidden = referenceForward(*model_, lora_.get(), batch, {});
  const int64_t vocab = model_->config().vocabSize, most = std::max<int64_t>(1, (int64_t{1} << 24) / vocab);
  std::vector<float> result;
  for (int64_t first = 0; first < hidden.size(0); first += most) {
    const int64_t count = std::min(most, hidden.size(0) - first);
    const at::Tensor values = logitsOf(hidden.narrow(0, first, count), model_->head);
    for (int64_t i = 0; i < count; ++i) {
      const float* row = values.const_data_ptr<float>() + i * vocab;
      result.push_back(static_cast<float>(row[batch.tokens[batch.scored[first + i]]] - logSumExp(row, vocab)));
    }
  }
  return result;
}

}  // namespace bt
