// Log-probabilities of given tokens by an engine's passes.
#pragma once
#include <vector>

#include "model/batch.h"
#include "model/config.h"
#include "sample/engine.h"

namespace bt {

// [S] log p of each scored token given its row so far, nats. Sequences that are open stay as they are.
// Throws BT_ARGUMENT for a row that finds no room.
std::vector<float> scoreByPasses(SamplerEngine& engine, const ModelConfig& config, const PackedBatch& batch);

}  // namespace bt
