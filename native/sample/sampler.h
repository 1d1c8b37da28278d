// Many sequences decoded side by side over one KV cache; a slot that comes free takes the next prompt.
// What a row gets depends on its id, its tokens and the seed, not on its neighbours.
#pragma once
#include <ATen/core/Tensor.h>

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "model/lora.h"
#include "model/model.h"
#include "sample/choose.h"
#include "sample/stop.h"

namespace bt {

struct SamplerOptions {
  SamplingOptions sampling;
  int64_t maxSequences = 1;         // cache slots
  int64_t maxTokens = 0;            // longest prompt plus output
  std::vector<int32_t> stopTokens;  // end a sequence
  StopTexts stopTexts;              // end it as well, and stay in it
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
};

// All members: worker thread only.
class Sampler {
 public:
  Sampler(std::shared_ptr<Model> model, std::shared_ptr<Lora> lora, const SamplerOptions& options);

  // Throws BT_ARGUMENT for an empty prompt, a token outside the vocabulary or a row longer than maxTokens.
  void add(const std::vector<SamplerPrompt>& prompts);
  // Admits what fits, then decodes up to `steps` tokens of each running sequence. After an error every row that was
  // waiting or running is forgotten.
  AdvanceResult advance(int64_t steps);

 private:
  struct Running {
    SamplerPrompt prompt;
    int64_t slot = 0;
    int64_t length = 0;  // tokens whose keys and values are in the cache
    std::vector<int32_t> output;
    std::vector<float> logProbs;
  };
  at::Tensor forward(const std::vector<Running*>& rows, const std::vector<std::vector<int32_t>>& tokens);
  void admit(AdvanceResult& result);
  void decode(AdvanceResult& result);
  // Chooses a token for each running[i] from logits row i; moves the finished ones out.
  void take(std::vector<Running>& rows, const at::Tensor& logits, AdvanceResult& result);
  void finish(Running row, Finish reason, AdvanceResult& result);
  void reset();

  std::shared_ptr<Model> model_;
  std::shared_ptr<Lora> lora_;
  SamplerOptions options_;
  std::vector<at::Tensor> keys_, values_;  // a layer: [slots * maxTokens, kvHeads, headDim]
  std::vector<int64_t> freeSlots_;
  std::deque<SamplerPrompt> waiting_;
  std::vector<Running> running_;
};

}  // namespace bt
