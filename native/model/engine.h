// Forward and backward of an adapted model, whichever way they are computed.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

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

// Rows that go on from tokens whose keys and values are kept elsewhere.
struct ContinuedRows {
  std::vector<int32_t> starts;  // [n] tokens of each row before those of the batch
  std::vector<int32_t> asked;   // [S] tokens of the batch whose hidden states are wanted
  // In place of each row's own attention, layer by layer: writes out [T, heads headDim].
  // q: [T, heads, headDim]   k, v: [T, kvHeads, headDim], q and k rotated
  std::function<void(int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, at::Tensor out)>
      attend;
};

// An engine that also goes on with rows.
class ContinuingEngine : public StagedEngine {
 public:
  // Final hidden states [S, hidden] of what rows asks for; `scored` plays no part. Valid until the next forward; no
  // backward follows.
  virtual at::Tensor continueRows(const PackedBatch& batch, const ContinuedRows& rows) = 0;
};

// The same forward, by ATen's operators and, on a GPU, libbt_cuda. lora may be null.
std::unique_ptr<ContinuingEngine> makeContinuingEngine(Model& model, Lora* lora);

}  // namespace bt
