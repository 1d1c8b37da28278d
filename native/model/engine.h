// Forward and backward of an adapted model, whichever way they are computed.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>

#include "model/reference.h"

namespace bt {

class Engine {
 public:
  virtual ~Engine() = default;
  // Final hidden states of the tokens before each scored one: [S, hidden] in the model's dtype. Valid until the next
  // forward. keep: backward follows, and finds what it needs; without it, a forward takes the memory of one layer.
  virtual at::Tensor forward(const PackedBatch& batch, const DropoutKey& dropout, bool keep) = 0;
  // Adds the LoRA gradients of the last forward that kept, given d loss / d hidden, to lora.gradients.
  virtual void backward(const at::Tensor& gradHidden) = 0;
};

// Plain autograd: every option and device.
std::unique_ptr<Engine> makeReferenceEngine(Model& model, Lora& lora);

// The decoder layer and its backward by hand. Throws BT_ARGUMENT where fusedServes() says no.
std::unique_ptr<Engine> makeFusedEngine(Model& model, Lora& lora);

// Whether the fused engine can train this model: on CPUs, in FP32 and BF16, without q/k norm.
bool fusedServes(const Model& model);

}  // namespace bt
