// From logits to one token: bias, penalties, temperature, truncation and the draw, in transformers' order and
// definitions.
#pragma once
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace bt {

// In the order in which they are applied. What stands behind each is what leaves the logits alone.
struct SamplingOptions {
  std::vector<std::pair<int32_t, float>> logitBias;  // token inside the vocabulary, and what is added
  double repetitionPenalty = 1;                      // over prompt and output (Keskar et al. 2019)
  double frequencyPenalty = 0;                       // times a token's count in the output, as OpenAI and vLLM have it
  double presencePenalty = 0;                        // once for each token of the output, as OpenAI and vLLM have it
  int64_t noRepeatNgram = 0;                         // no n-gram of prompt and output comes a second time
  double temperature = 1;                            // 0: greedy; what follows is left out
  int64_t topK = 0;                                  // 0: all
  double topP = 1;                                   // nucleus (Holtzman et al. 2020)
  double minP = 0;
  double typicalP = 1;  // locally typical (Meister et al. 2022)
  uint64_t seed = 0;
};

struct Choice {
  int32_t token = 0;  // -1: the logits are not finite, or no token is left: nothing can be chosen
  float logProb = 0;  // nats, of the model as it is: before bias, penalties, temperature and truncation
};

struct Candidate {
  int32_t token;
  double probability;
};

// Whether choose() looks at the tokens so far.
bool needsHistory(const SamplingOptions& options);

// The distribution that choose() draws from, likeliest first, summing to one; a single candidate when greedy, none when
// no token is left. logits: [vocab] FP32, changed in place. seen: prompt and output tokens so far, the last `produced`
// of them output. Both may be left empty where needsHistory() is false.
std::vector<Candidate> candidatesOf(float* logits, int64_t vocab, const SamplingOptions& options,
                                    const std::vector<int32_t>& seen, int64_t produced);

// The draw is a function of (options.seed, rowId, position) alone; position: output tokens so far. A row may have a
// temperature of its own.
Choice choose(float* logits, int64_t vocab, const SamplingOptions& options, const std::vector<int32_t>& seen,
              int64_t rowId, int64_t position, std::optional<double> temperature = {});

}  // namespace bt
