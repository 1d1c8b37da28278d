// Many sequences decoded side by side; one that ends makes room for the next prompt at once. What a row gets depends on
// its id, its tokens and the seed; on a CPU not even in its last bits on its neighbours (engine.h).
#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "model/batch.h"
#include "model/lora.h"
#include "model/model.h"
#include "sample/choose.h"
#include "sample/engine.h"
#include "sample/stop.h"

namespace bt {

struct SamplerOptions {
  SamplingOptions sampling;
  int64_t maxSequences = 1;         // at the same time
  int64_t maxTokens = 0;            // longest prompt plus output
  std::vector<int32_t> stopTokens;  // end a sequence
  StopTexts stopTexts;              // end it as well, and stay in it

  enum class Engine { automatic, aten };
  Engine engine = Engine::automatic;
  // How weights are held; none: as the model's type says. Not for ATen's operators.
  enum class Weights { model, int8, int4 };
  Weights weights = Weights::model;
  bool keepAdapter = false;  // the adapter is multiplied beside the base, not added to it
  int64_t cacheBytes = 0;    // for keys and values at most; 0: what sequences may need, as far as memory is free
  int64_t lookup = -1;       // tokens proposed at a time from the text before; -1: where that is faster
};

struct SamplerPrompt {
  int64_t id = 0;
  std::vector<int32_t> tokens;
  int64_t maxNewTokens = 0;
  std::optional<double> temperature;  // in place of the sampler's
};

enum class Finish {
  stop,      // a stop token or text
  length,    // maxNewTokens
  notFinite  // the logits became NaN or infinite, so that nothing more can be chosen
};

struct Finished {
  int64_t id = 0;
  std::vector<int32_t> tokens;  // without the stop token, with those of a stop text
  std::vector<float> logProbs;  // of each, and of the stop token last where one ended it; untempered, nats
  Finish reason = Finish::length;
};

struct AdvanceResult {
  std::vector<Finished> finished;
  int64_t active = 0, waiting = 0, generated = 0;
  int64_t computed = 0;             // tokens that went through the model
  int64_t proposed = 0, taken = 0;  // by lookup
};

// All members: worker thread only.
class Sampler {
 public:
  // Throws BT_ARGUMENT for weights or a cache that the engine does not have.
  Sampler(std::shared_ptr<Model> model, std::shared_ptr<Lora> lora, const SamplerOptions& options);

  // Throws BT_ARGUMENT for an empty prompt, a token outside the vocabulary or a row longer than maxTokens or the cache.
  void add(const std::vector<SamplerPrompt>& prompts);
  // Up to `steps` passes: each takes in what fits of the prompts that wait, and gives each running sequence a token or,
  // by lookup, several. After an error every row that was waiting or running is forgotten.
  AdvanceResult advance(int64_t steps);
  // [S] log p of each scored token given its row so far, nats, under the sampler's weights. Sequences that are running
  // go on afterwards. Throws BT_ARGUMENT for a row longer than the cache.
  std::vector<float> logProbs(const PackedBatch& batch) { return engine_->logProbs(batch); }

 private:
  struct Running {
    SamplerPrompt prompt;
    CachedSequence cached;
    std::vector<int32_t> output;
    std::vector<float> logProbs;
  };
  using Rows = std::vector<std::unique_ptr<Running>>;

  int64_t admit();
  bool step(AdvanceResult& result);
  std::vector<Share> shares(int64_t admitted) const;
  // Chooses tokens of every running sequence; moves the finished ones out.
  void take(const std::vector<Share>& shares, AdvanceResult& result);
  void takeRow(Running& row, const Share& share, float* logits, bool& done, Finish& reason) const;
  void reset();

  std::shared_ptr<Model> model_;
  SamplerOptions options_;
  std::unique_ptr<SamplerEngine> engine_;
  std::deque<SamplerPrompt> waiting_;
  Rows running_;
};

}  // namespace bt
