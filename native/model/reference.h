// The forward pass in plain ATen operators, every option supported: what the fast path is held to.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "kernels/random.h"
#include "model/batch.h"
#include "model/lora.h"
#include "model/model.h"

namespace bt {

// What dropout's masks are a function of. p = 0 outside training.
struct DropoutKey {
  double p = 0;
  uint64_t seed = 0;
  int64_t step = 0;
};

// Tells one layer's target from all others.
inline int64_t dropoutIndex(int64_t layer, Target target) { return layer * kTargets + static_cast<int>(target); }

// The stream of one of them, for kernels/dropout.h.
inline uint64_t dropoutStream(const DropoutKey& key, int64_t index) {
  return mixKey(key.seed, Purpose::dropout, static_cast<uint64_t>(key.step), static_cast<uint64_t>(index));
}

// Sees the hidden states [T, hidden] that leave a layer; layer -1 is the embedding.
using LayerVisitor = std::function<void(int64_t layer, const at::Tensor& x)>;

// Final hidden states (after the last norm) of the tokens that stand before each scored token.
// Returns [S, hidden] in the model's dtype; differentiable in the LoRA weights when grad mode is on.
at::Tensor referenceForward(Model& model, const Lora* lora, const PackedBatch& batch, const DropoutKey& dropout,
                            const LayerVisitor& visit = {});

}  // namespace bt
