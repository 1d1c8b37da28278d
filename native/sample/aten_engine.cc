#include "sample/aten_engine.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "model/decoder.h"
#include "model/log_probs.h"
#include "model/logits.h"
#include "model/targets.h"
#include "sample/slot_attention.h"

namespace bt {

namespace {

at::Tensor indices(const std::vector<int64_t>& values, at::Device device) {
  return at::from_blob(const_cast<int64_t*>(values.data()), {static_cast<int64_t>(values.size())}, at::kLong)
      .to(device, at::kLong, /*non_blocking=*/false, /*copy=*/true);
}

// What a sequence brings into a pass: tokens [first, first + count) of it, after which `known` are in its slot.
struct Part {
  int64_t first, count, slot, known;
};

// Sequences with one new token are attended together, others one by one.
class PassAttention {
 public:
  PassAttention(const ModelConfig& config, const std::vector<Part>& parts, at::Device device) : config_(config) {
    std::vector<int64_t> tokens, slots, known;
    for (const Part& part : parts) {
      if (part.count > 1) {
        apart_.push_back(part);
        continue;
      }
      tokens.push_back(part.first);
      slots.push_back(part.slot);
      known.push_back(part.known);
    }
    if (tokens.empty()) return;
    tokens_ = indices(tokens, device);
    together_.emplace(slots, known, config.slidingWindow, device);
  }

  // q: [tokens, heads, headDim]   keys, values: [slots, kvHeads, maxTokens, headDim]   out: [tokens, heads headDim]
  void operator()(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values, at::Tensor out) const {
    if (apart_.empty()) {
      out.copy_((*together_)(q, keys, values));
      return;
    }
    for (const auto& [first, count, slot, known] : apart_) {
      const auto ofSlot = [slot = slot, known = known](const at::Tensor& cache) {
        return cache.select(0, slot).narrow(1, 0, known).transpose(0, 1);
      };
      out.narrow(0, first, count).copy_(attend(config_, q.narrow(0, first, count), ofSlot(keys), ofSlot(values)));
    }
    if (together_) out.index_copy_(0, tokens_, (*together_)(q.index_select(0, tokens_), keys, values));
  }

 private:
  const ModelConfig& config_;
  std::vector<Part> apart_;
  at::Tensor tokens_;  // [n] those of sequences that are attended together
  std::optional<SlotAttention> together_;
};

}  // namespace

AtenEngine::AtenEngine(std::shared_ptr<Model> model, std::shared_ptr<Lora> lora, int64_t slots, int64_t maxTokens)
    : model_(std::move(model)),
      lora_(std::move(lora)),
      maxTokens_(maxTokens),
      engine_(makeContinuingEngine(*model_, lora_.get())) {
  const ModelConfig& config = model_->config();
  const auto options = at::TensorOptions().dtype(model_->dtype()).device(model_->device());
  for (int64_t l = 0; l < config.layers; ++l) {
    keys_.push_back(at::empty({slots, config.kvHeads, maxTokens, config.headDim}, options));
    values_.push_back(at::empty_like(keys_.back()));
  }
  for (int64_t slot = slots; slot-- > 0;) freeSlots_.push_back(static_cast<int32_t>(slot));
}

bool AtenEngine::open(CachedSequence& sequence, int64_t, int64_t, int64_t) {
  if (freeSlots_.empty()) return false;
  const auto lowest = std::min_element(freeSlots_.begin(), freeSlots_.end());
  sequence.blocks = {*lowest};
  sequence.length = 0;
  // What another sequence left is multiplied by zeros, which a NaN would survive.
  for (const at::Tensor& values : values_) values.select(0, *lowest).zero_();
  freeSlots_.erase(lowest);
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
  PackedBatch batch;
  ContinuedRows rows;
  std::vector<int64_t> places;  // in the cache, of each token's heads
  std::vector<Part> parts;
  batch.cuSeqlens = {0};
  for (const auto& [sequence, proposed, logits] : shares) {
    const int64_t first = batch.tokenCount(), slot = sequence->blocks[0];
    batch.tokens.insert(batch.tokens.end(), sequence->tokens.begin() + sequence->length, sequence->tokens.end());
    batch.tokens.insert(batch.tokens.end(), proposed.begin(), proposed.end());
    const int64_t end = batch.tokenCount(), known = sequence->length + end - first;
    batch.rows.push_back(static_cast<int32_t>(parts.size()));
    batch.cuSeqlens.push_back(static_cast<int32_t>(end));
    rows.starts.push_back(static_cast<int32_t>(sequence->length));
    for (int64_t token = end - logits; token < end; ++token) rows.asked.push_back(static_cast<int32_t>(token));
    for (int64_t position = sequence->length; position < known; ++position) {
      for (int64_t head = 0; head < config.kvHeads; ++head) {
        places.push_back((slot * config.kvHeads + head) * maxTokens_ + position);
      }
    }
    parts.push_back({first, end - first, slot, known});
  }
  const PassAttention attention(config, parts, device);
  const at::Tensor cacheIds = indices(places, device);
  rows.attend = [&](int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, at::Tensor out) {
    for (const auto& [cache, made] : {std::pair{keys_[layer], k}, std::pair{values_[layer], v}}) {
      cache.view({-1, config.headDim}).index_copy_(0, cacheIds, made.reshape({-1, config.headDim}));
    }
    attention(q, keys_[layer], values_[layer], out);
  };
  hidden_ = engine_->continueRows(batch, rows);
}

float* AtenEngine::logits(int64_t first, int64_t count) {
  const at::NoGradGuard noGrad;
  logits_ = logitsOf(hidden_.narrow(0, first, count), model_->head);
  return logits_.data_ptr<float>();
}

std::vector<float> AtenEngine::logProbs(const PackedBatch& batch) {
  return targetLogProbs(engine_->forward(batch, {}, /*keep=*/false), model_->head, targetsOf(batch));
}

}  // namespace bt
