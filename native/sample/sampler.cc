#include "sample/sampler.h"

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

#include "kernels/parallel.h"
#include "model/abort.h"
#include "model/autocast.h"
#include "model/decoder.h"
#include "model/error.h"
#include "model/logits.h"

namespace bt {

namespace {

// Prompts prefilled in one forward pass hold at most this many tokens (a longer prompt goes alone).
constexpr int64_t prefillTokens = 2048;

at::Tensor indices(const std::vector<int64_t>& values, at::Device device) {
  return at::from_blob(const_cast<int64_t*>(values.data()), {static_cast<int64_t>(values.size())}, at::kLong)
      .to(device, at::kLong, /*non_blocking=*/false, /*copy=*/true);
}

[[noreturn]] void refuse(int64_t id, const std::string& what) {
  throw Error("BT_ARGUMENT", "prompt " + std::to_string(id) + ": " + what);
}

}  // namespace

Sampler::Sampler(std::shared_ptr<Model> model, std::shared_ptr<Lora> lora, const SamplerOptions& options)
    : model_(std::move(model)), lora_(std::move(lora)), options_(options) {
  if (options.maxSequences < 1) throw Error("BT_ARGUMENT", "sampler: maxSequences must be at least 1");
  if (options.maxTokens < 2) throw Error("BT_ARGUMENT", "sampler: maxTokens must be at least 2");
  const ModelConfig& config = model_->config();
  for (const auto& [token, bias] : options.sampling.logitBias) {
    if (token >= config.vocabSize) {
      throw Error("BT_ARGUMENT",
                  "sampler: logitBias names token " + std::to_string(token) + ", outside the vocabulary");
    }
  }
  const auto cacheOptions = at::TensorOptions().dtype(model_->dtype()).device(model_->device());
  for (int64_t l = 0; l < config.layers; ++l) {
    keys_.push_back(
        at::empty({options.maxSequences * options.maxTokens, config.kvHeads, config.headDim}, cacheOptions));
    values_.push_back(at::empty_like(keys_.back()));
  }
  reset();
}

void Sampler::add(const std::vector<SamplerPrompt>& prompts) {
  for (const SamplerPrompt& prompt : prompts) {
    if (prompt.tokens.empty()) refuse(prompt.id, "has no tokens");
    if (prompt.maxNewTokens < 1) refuse(prompt.id, "maxNewTokens must be at least 1");
    const int64_t longest = static_cast<int64_t>(prompt.tokens.size()) + prompt.maxNewTokens;
    if (longest > options_.maxTokens) {
      refuse(prompt.id, "prompt and output may take " + std::to_string(longest) + " tokens; the cache has room for " +
                            std::to_string(options_.maxTokens));
    }
    for (const int32_t token : prompt.tokens) {
      if (token < 0 || token >= model_->config().vocabSize) {
        refuse(prompt.id, "token " + std::to_string(token) + " is outside the vocabulary");
      }
    }
  }
  waiting_.insert(waiting_.end(), prompts.begin(), prompts.end());
}

// Runs each row's `tokens` (those after what its cache holds) through the model; returns the logits after each row's
// last token, [rows, vocab] FP32 on the CPU.
at::Tensor Sampler::forward(const std::vector<Running*>& rows, const std::vector<std::vector<int32_t>>& tokens) {
  const at::NoGradGuard noGrad;
  const ModelConfig& config = model_->config();
  const at::Device device = model_->device();
  const AutocastGuard autocast(device, model_->dtype());
  std::vector<int64_t> ids, positions, places, last;
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t t = 0; t < tokens[i].size(); ++t) {
      const int64_t position = rows[i]->length + static_cast<int64_t>(t);
      ids.push_back(tokens[i][t]);
      positions.push_back(position);
      places.push_back(rows[i]->slot * options_.maxTokens + position);
    }
    last.push_back(static_cast<int64_t>(ids.size()) - 1);
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
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto count = static_cast<int64_t>(tokens[i].size());
      const int64_t base = rows[i]->slot * options_.maxTokens, known = rows[i]->length + count;
      attended.push_back(attend(config, heads.q.narrow(0, begin, count), keys_[l].narrow(0, base, known),
                                values_[l].narrow(0, base, known)));
      begin += count;
    }
    x = x + attentionOut(layer, adapter, attended.size() == 1 ? attended[0] : at::cat(attended, 0));
    x = x + feedForward(layer, adapter, rmsNorm(x, layer.postNorm, config.rmsNormEps));
  }
  for (size_t i = 0; i < rows.size(); ++i) rows[i]->length += static_cast<int64_t>(tokens[i].size());
  const at::Tensor hidden = rmsNorm(x.index_select(0, indices(last, device)), model_->finalNorm, config.rmsNormEps);
  return logitsOf(hidden, model_->head);
}

void Sampler::take(std::vector<Running>& rows, const at::Tensor& logits, AdvanceResult& result) {
  const int64_t vocab = logits.size(1);
  std::vector<Choice> choices(rows.size());
  float* values = logits.data_ptr<float>();
  parallelTasks(static_cast<int64_t>(rows.size()), [&](int64_t i) {
    const Running& row = rows[i];
    std::vector<int32_t> seen;
    if (needsHistory(options_.sampling)) {
      seen = row.prompt.tokens;
      seen.insert(seen.end(), row.output.begin(), row.output.end());
    }
    const auto produced = static_cast<int64_t>(row.output.size());
    choices[i] =
        choose(values + i * vocab, vocab, options_.sampling, seen, row.prompt.id, produced, row.prompt.temperature);
  });
  std::vector<Running> still;
  for (size_t i = 0; i < rows.size(); ++i) {
    Running& row = rows[i];
    const Choice choice = choices[i];
    if (choice.token < 0) {
      finish(std::move(row), Finish::notFinite, result);
      continue;
    }
    ++result.generated;
    row.logProbs.push_back(choice.logProb);
    const bool stopped =
        std::find(options_.stopTokens.begin(), options_.stopTokens.end(), choice.token) != options_.stopTokens.end();
    if (!stopped) row.output.push_back(choice.token);
    if (stopped || completesStop(options_.stopTexts, row.output)) {
      finish(std::move(row), Finish::stop, result);
    } else if (static_cast<int64_t>(row.output.size()) == row.prompt.maxNewTokens) {
      finish(std::move(row), Finish::length, result);
    } else {
      still.push_back(std::move(row));
    }
  }
  rows = std::move(still);
}

void Sampler::finish(Running row, Finish reason, AdvanceResult& result) {
  freeSlots_.push_back(row.slot);
  result.finished.push_back({row.prompt.id, std::move(row.output), std::move(row.logProbs), reason});
}

void Sampler::admit(AdvanceResult& result) {
  while (!freeSlots_.empty() && !waiting_.empty()) {
    std::vector<Running> fresh;
    int64_t total = 0;
    while (!freeSlots_.empty() && !waiting_.empty()) {
      const auto length = static_cast<int64_t>(waiting_.front().tokens.size());
      if (!fresh.empty() && total + length > prefillTokens) break;
      total += length;
      Running row;
      row.prompt = std::move(waiting_.front());
      waiting_.pop_front();
      row.slot = freeSlots_.back();
      freeSlots_.pop_back();
      fresh.push_back(std::move(row));
    }
    std::vector<Running*> rows;
    std::vector<std::vector<int32_t>> tokens;
    for (Running& row : fresh) {
      rows.push_back(&row);
      tokens.push_back(row.prompt.tokens);
    }
    take(fresh, forward(rows, tokens), result);
    for (Running& row : fresh) running_.push_back(std::move(row));
  }
}

void Sampler::decode(AdvanceResult& result) {
  std::vector<Running*> rows;
  std::vector<std::vector<int32_t>> tokens;
  for (Running& row : running_) {
    rows.push_back(&row);
    tokens.push_back({row.output.back()});
  }
  take(running_, forward(rows, tokens), result);
}

AdvanceResult Sampler::advance(int64_t steps) {
  AdvanceResult result;
  try {
    admit(result);
    for (int64_t i = 0; i < steps && !running_.empty(); ++i) {
      decode(result);
      admit(result);
    }
  } catch (...) {
    reset();  // rows in flight are in an unknown state; the caller adds them again
    throw;
  }
  result.active = static_cast<int64_t>(running_.size());
  result.waiting = static_cast<int64_t>(waiting_.size());
  return result;
}

void Sampler::reset() {
  running_.clear();
  waiting_.clear();
  freeSlots_.clear();
  for (int64_t slot = options_.maxSequences; slot-- > 0;) freeSlots_.push_back(slot);
}

}  // namespace bt
