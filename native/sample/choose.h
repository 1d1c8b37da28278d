// From logits to one token: penalties, temperature, truncation and the draw, in transformers' order and definitions.
#pragma once
#include <cstdint>
#include <vector>

namespace bt {

struct SamplingOptions {
  double temperature = 1;        // 0: greedy
  int64_t topK = 0;              // 0: all
  double topP = 1, minP = 0;     // 1 and 0: all
  double repetitionPenalty = 1;  // over prompt and output
  uint64_t seed = 0;
};

struct Choice {
  int32_t token = 0;  // -1: the logits are not finite, nothing can be chosen
  float logProb = 0;  // nats, of the model as it is: before penalties, temperature and truncation
};

// logits: [vocab] FP32, changed in place. seen: prompt and output tokens so far. The draw is a function of
// (options.seed, rowId, position) alone.
Choice choose(float* logits, int64_t vocab, const SamplingOptions& options, const std::vector<int32_t>& seen,
              int64_t rowId, int64_t position);

}  // namespace bt
