// Forward and backward of an adapted model, whichever way they are computed.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>

#include "cuda/bt_cuda.h"
#include "model/arena.h"
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
  // Adds the buffers that it keeps between two calls.
  virtual void addBuffers(BufferBytes&) const {}
};

// Plain autograd: every option and device.
std::unique_ptr<Engine> makeReferenceEngine(Model& model, Lora& lora);

// Whether batches are padded to a few sizes, and each size captured as CUDA graphs.
enum class Graphs {
  automatic,  // where it serves: on GPUs with libbt_cuda and flash attention
  off,
  padded,  // padded on any device, and never captured
};

struct FusedOptions {
  bool aten = false;  // by ATen's operators alone, as GPUs do without libbt_cuda; on any device
  Graphs graphs = Graphs::automatic;
  // Of each layer the input alone is kept for backward, which computes the rest again: the same gradients in less
  // memory, for one more forward.
  bool recompute = false;
};

// The decoder layer and its backward by hand.
std::unique_ptr<Engine> makeFusedEngine(Model& model, Lora& lora, const FusedOptions& options = {});

// An engine whose forward has two parts.
class StagedEngine : public Engine {
 public:
  // What asks the host: places, indices, tables. The batch must outlive run() and backward().
  virtual void prepare(const PackedBatch& batch, const DropoutKey& dropout, bool keep) = 0;
  // The rest, as the device can do it alone.
  virtual at::Tensor run() = 0;
  // See LayerOps::generation().
  virtual int64_t generation() const = 0;

  at::Tensor forward(const PackedBatch& batch, const DropoutKey& dropout, bool keep) override {
    prepare(batch, dropout, keep);
    return run();
  }
};

// Pads each batch that is trained on. With `cuda`, what has run once for a Budget is captured on that device, and
// replayed.
std::unique_ptr<Engine> makePaddedEngine(const ModelConfig& config, std::unique_ptr<StagedEngine> engine,
                                         const BtCudaFunctions* cuda = nullptr, int device = 0);

}  // namespace bt
