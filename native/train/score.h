// Log-probabilities, logits and hidden states of given tokens, without gradients.
#pragma once
#include <vector>

#include "model/batch.h"
#include "model/lora.h"
#include "model/model.h"

namespace bt {

// [S] log p of each scored token given its row so far, nats. lora may be null. Worker thread only.
std::vector<float> logProbs(Model& model, const Lora* lora, const PackedBatch& batch);

// [S * vocab] FP32 logits that predict each scored token. Worker thread only.
std::vector<float> logits(Model& model, const Lora* lora, const PackedBatch& batch);

// [n * hidden] mean over each row's tokens of the final hidden states. `scored` plays no part. Worker thread only.
std::vector<float> meanHiddenStates(Model& model, const Lora* lora, const PackedBatch& batch);

}  // namespace bt
