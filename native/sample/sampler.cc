#include "sample/sampler.h"

#include <algorithm>

#include "kernels/parallel.h"
#include "model/error.h"
#include "sample/aten_engine.h"
#include "sample/free_memory.h"
#include "sample/lookup.h"
#include "sample/packed_engine.h"

namespace bt {

namespace {

// Prompts taken into one pass hold at most this many tokens (a longer prompt goes alone).
constexpr int64_t prefillTokens = 1024;
// Logits that are computed at a time: 64 MB.
constexpr int64_t logitValues = int64_t{1} << 24;
// Tokens that lookup proposes at a time, and up to how many sequences side by side it pays.
constexpr int64_t lookupTokens = 4, lookupSequences = 2;

[[noreturn]] void refuse(const std::string& what) { throw Error("BT_ARGUMENT", what); }

WeightKind kindOf(const Model& model, SamplerOptions::Weights weights) {
  if (weights == SamplerOptions::Weights::int8) return WeightKind::int8;
  if (weights == SamplerOptions::Weights::int4) return WeightKind::int4;
  return model.dtype() == at::kFloat ? WeightKind::fp32 : WeightKind::bf16;
}

// All that the sequences can need, or half of the memory that is free.
template <typename T>
int64_t cacheBytes(const ModelConfig& config, const SamplerOptions& options) {
  if (options.cacheBytes > 0) return options.cacheBytes;
  const int64_t block = PackedEngine<T>::blockBytes(config);
  // One sequence more: what ended last stays for those that begin alike.
  const double blocks = static_cast<double>(options.maxSequences + 1) *
                        static_cast<double>((options.maxTokens + cacheBlock - 1) / cacheBlock);
  const double most = static_cast<double>(freeMemory()) / 2;
  return static_cast<int64_t>(std::min(blocks * static_cast<double>(block), most));
}

template <typename T>
std::unique_ptr<SamplerEngine> packed(const std::shared_ptr<Model>& model, const Lora* lora,
                                      const SamplerOptions& options) {
  const WeightOptions weights{kindOf(*model, options.weights), options.keepAdapter};
  return std::make_unique<PackedEngine<T>>(model, lora,
                                           PackedEngineOptions{weights, cacheBytes<T>(model->config(), options)});
}

std::unique_ptr<SamplerEngine> openEngine(const std::shared_ptr<Model>& model, std::shared_ptr<Lora> lora,
                                          const SamplerOptions& options) {
  const bool serves = model->device().is_cpu() && model->dtype() != at::kHalf;
  if (options.engine == SamplerOptions::Engine::aten || !serves) {
    if (options.weights != SamplerOptions::Weights::model) {
      refuse("sampler: weights of 8 or 4 bits are for a CPU and a model in FP32 or BF16");
    }
    return std::make_unique<AtenEngine>(model, std::move(lora), options.maxSequences, options.maxTokens);
  }
  return model->dtype() == at::kFloat ? packed<float>(model, lora.get(), options)
                                      : packed<Bf16>(model, lora.get(), options);
}

}  // namespace

Sampler::Sampler(std::shared_ptr<Model> model, std::shared_ptr<Lora> lora, const SamplerOptions& options)
    : model_(std::move(model)), options_(options) {
  if (options.maxSequences < 1) refuse("sampler: maxSequences must be at least 1");
  if (options.maxTokens < 2) refuse("sampler: maxTokens must be at least 2");
  for (const auto& [token, bias] : options.sampling.logitBias) {
    if (token >= model_->config().vocabSize) {
      refuse("sampler: logitBias names token " + std::to_string(token) + ", outside the vocabulary");
    }
  }
  engine_ = openEngine(model_, std::move(lora), options);
}

void Sampler::add(const std::vector<SamplerPrompt>& prompts) {
  for (const SamplerPrompt& prompt : prompts) {
    const std::string name = "prompt " + std::to_string(prompt.id) + ": ";
    if (prompt.tokens.empty()) refuse(name + "has no tokens");
    if (prompt.maxNewTokens < 1) refuse(name + "maxNewTokens must be at least 1");
    const int64_t longest = static_cast<int64_t>(prompt.tokens.size()) + prompt.maxNewTokens;
    const int64_t room = std::min(options_.maxTokens, engine_->capacity());
    if (longest > room) {
      refuse(name + "prompt and output may take " + std::to_string(longest) + " tokens; the cache has room for " +
             std::to_string(room));
    }
    for (const int32_t token : prompt.tokens) {
      if (token < 0 || token >= model_->config().vocabSize) {
        refuse(name + "token " + std::to_string(token) + " is outside the vocabulary");
      }
    }
  }
  waiting_.insert(waiting_.end(), prompts.begin(), prompts.end());
}

// Takes in waiting prompts; returns how many tokens they bring into the next pass.
int64_t Sampler::admit() {
  int64_t admitted = 0;
  while (!waiting_.empty() && static_cast<int64_t>(running_.size()) < options_.maxSequences) {
    auto row = std::make_unique<Running>();
    const SamplerPrompt& prompt = waiting_.front();
    const auto length = static_cast<int64_t>(prompt.tokens.size());
    if (admitted > 0 && admitted + length > prefillTokens) break;
    row->cached.tokens = prompt.tokens;
    // Beside others, room stays for a row that is scored meanwhile.
    const int64_t leave = running_.empty() ? 0 : options_.maxTokens;
    if (!engine_->open(row->cached, length + prompt.maxNewTokens, length - 1, leave)) break;
    admitted += length - row->cached.length;
    row->prompt = std::move(waiting_.front());
    waiting_.pop_front();
    running_.push_back(std::move(row));
  }
  return admitted;
}

std::vector<Share> Sampler::shares(int64_t admitted) const {
  // Beside a prompt, or many sequences, the processor has no time to spare.
  const bool pays = admitted == 0 && static_cast<int64_t>(running_.size()) <= lookupSequences;
  const int64_t most = options_.lookup >= 0 ? options_.lookup : pays ? lookupTokens : 0;
  std::vector<Share> result;
  for (const auto& row : running_) {
    Share share{&row->cached, {}, 1};
    if (!row->output.empty()) {
      const int64_t left = row->prompt.maxNewTokens - static_cast<int64_t>(row->output.size());
      share.proposed = lookUp(row->cached.tokens, std::min(most, left - 1));
      share.logits += static_cast<int64_t>(share.proposed.size());
    }
    result.push_back(std::move(share));
  }
  return result;
}

// Tokens of one row, as long as what is chosen is what was proposed. Each is chosen as it would be without proposals.
void Sampler::takeRow(Running& row, const Share& share, float* logits, bool& done, Finish& reason) const {
  const int64_t vocab = model_->config().vocabSize;
  for (int64_t at = 0; at < share.logits; ++at) {
    std::vector<int32_t> seen;
    if (needsHistory(options_.sampling)) seen = row.cached.tokens;
    const auto produced = static_cast<int64_t>(row.output.size());
    const Choice choice =
        choose(logits + at * vocab, vocab, options_.sampling, seen, row.prompt.id, produced, row.prompt.temperature);
    done = true;
    if (choice.token < 0) {
      reason = Finish::notFinite;
      return;
    }
    row.logProbs.push_back(choice.logProb);
    const auto& stops = options_.stopTokens;
    if (std::find(stops.begin(), stops.end(), choice.token) != stops.end()) {
      reason = Finish::stop;
      return;
    }
    row.output.push_back(choice.token);
    row.cached.tokens.push_back(choice.token);
    if (completesStop(options_.stopTexts, row.output)) {
      reason = Finish::stop;
      return;
    }
    reason = Finish::length;
    if (static_cast<int64_t>(row.output.size()) == row.prompt.maxNewTokens) return;
    done = false;
    if (at + 1 == share.logits || choice.token != share.proposed[at]) return;
    ++row.cached.length;
  }
}

void Sampler::take(const std::vector<Share>& shares, AdvanceResult& result) {
  const int64_t vocab = model_->config().vocabSize, most = std::max<int64_t>(1, logitValues / vocab);
  std::vector<std::unique_ptr<Finished>> finished(running_.size());
  std::vector<size_t> chosen(running_.size());
  for (size_t i = 0; i < running_.size(); ++i) chosen[i] = running_[i]->logProbs.size();
  int64_t row = 0;  // of logits
  for (size_t first = 0; first < shares.size();) {
    std::vector<int64_t> starts;
    int64_t count = 0;
    size_t last = first;
    while (last < shares.size() && (last == first || count + shares[last].logits <= most)) {
      starts.push_back(count);
      count += shares[last++].logits;
    }
    float* logits = engine_->logits(row, count);
    parallelTasks(static_cast<int64_t>(last - first), [&](int64_t i) {
      Running& running = *running_[first + i];
      bool done = false;
      Finish reason = Finish::length;
      takeRow(running, shares[first + i], logits + starts[i] * vocab, done, reason);
      chosen[first + i] = running.logProbs.size() - chosen[first + i];
      if (!done) return;
      finished[first + i] = std::make_unique<Finished>(
          Finished{running.prompt.id, std::move(running.output), std::move(running.logProbs), reason});
    });
    row += count;
    first = last;
  }
  Rows still;
  for (size_t i = 0; i < running_.size(); ++i) {
    result.generated += static_cast<int64_t>(chosen[i]);
    result.proposed += static_cast<int64_t>(shares[i].proposed.size());
    result.taken += std::max<int64_t>(0, static_cast<int64_t>(chosen[i]) - 1);
    if (finished[i]) {
      engine_->close(running_[i]->cached);
      result.finished.push_back(std::move(*finished[i]));
    } else {
      still.push_back(std::move(running_[i]));
    }
  }
  running_ = std::move(still);
}

bool Sampler::step(AdvanceResult& result) {
  const int64_t admitted = admit();
  if (running_.empty()) return false;
  const std::vector<Share> parts = shares(admitted);
  engine_->run(parts);
  for (const Share& part : parts) {
    CachedSequence& sequence = *part.sequence;
    result.computed += static_cast<int64_t>(sequence.tokens.size() + part.proposed.size()) - sequence.length;
    sequence.length = static_cast<int64_t>(sequence.tokens.size());
  }
  take(parts, result);
  return true;
}

AdvanceResult Sampler::advance(int64_t steps) {
  AdvanceResult result;
  try {
    for (int64_t i = 0; i < steps && step(result);) ++i;
  } catch (...) {
    reset();  // rows in flight are in an unknown state; the caller adds them again
    throw;
  }
  result.active = static_cast<int64_t>(running_.size());
  result.waiting = static_cast<int64_t>(waiting_.size());
  return result;
}

void Sampler::reset() {
  for (const auto& row : running_) engine_->close(row->cached);
  running_.clear();
  waiting_.clear();
  engine_->forget();
}

}  // namespace bt
