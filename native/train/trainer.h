// One LoRA training run over a frozen model: forward, backward, optimizer step.
// Knows nothing of files, epochs or logging: TypeScript decides what to train on and when to stop.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/batch.h"
#include "model/engine.h"
#include "model/lora.h"
#include "model/model.h"
#include "train/loss.h"

namespace bt {

enum class EngineKind {
  fused,
  aten,  // the same layer by ATen's operators alone
  reference,
};

struct TrainerOptions {
  EngineKind engine = EngineKind::fused;
  Graphs graphs = Graphs::automatic;
  bool recompute = false;  // of the fused engines; see FusedOptions
  bool scaled = false;     // FP16: multiply the loss by a scale and skip steps that overflow
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = 0, maxGradNorm = 1;
  uint64_t seed = 0;
  double initialScale = 65536;
  int64_t growthInterval = 2000;
};

struct StepResult {
  double loss = 0;           // nats per scored token, mean over the whole optimizer step
  int64_t scoredTokens = 0;  // tokens that counted
  int64_t tokens = 0;        // all tokens
  double gradNorm = 0;       // L2, before clipping; not finite when the step was skipped
  double scale = 1;          // FP16 loss scale after the step; 1 in other precisions
  bool skipped = false;      // a gradient was not finite: weights untouched, scale halved
};

struct TrainerState {
  int64_t optimizerStep = 0;
  double scale = 1;
  int64_t growthTracker = 0;
  std::vector<float> expAvg, expAvgSq;  // [P]
};

struct EvaluateResult {
  double lossSum = 0;  // nats, over all scored tokens
  int64_t scoredTokens = 0;
};

// Where a step's numbers stopped being finite.
struct NotFinite {
  enum class What { weight, hidden, loss, gradient };
  What what = What::hidden;
  int64_t layer = 0;   // -1: the embedding; the number of layers: what follows the last
  int64_t row = -1;    // row id; -1 for a weight
  std::string tensor;  // name of the LoRA matrix, for weights and gradients
};

// All members: worker thread only.
class Trainer {
 public:
  // Throws BT_ARGUMENT for recompute with the reference engine.
  Trainer(std::shared_ptr<Model> model, std::shared_ptr<Lora> lora, const TrainerOptions& options);

  // Runs every micro-batch, then steps once. Gradients are weighted by the scored tokens of all of them.
  // Throws BT_NO_TARGET when nothing is scored.
  StepResult step(const std::vector<PackedBatch>& microBatches, double learningRate, int64_t step);
  // The gradients that step() would use, unclipped and unscaled, left in lora.gradients. Returns the loss.
  double gradients(const std::vector<PackedBatch>& microBatches, int64_t step);
  EvaluateResult evaluate(const PackedBatch& batch);
  // The first thing of this step that is not finite, in the order of its computation; nothing when all is well. Takes
  // several times as long as the step.
  std::optional<NotFinite> diagnose(const std::vector<PackedBatch>& microBatches, int64_t step);

  TrainerState state() const;
  // Throws BT_ARGUMENT when the moments' length is not this adapter's.
  void restore(const TrainerState& state);

  // What is kept from step to step beside the model and the adapter's own buffers.
  BufferBytes buffers() const;

  Lora& lora() { return *lora_; }
  bool fused() const { return options_.engine != EngineKind::reference; }

 private:
  double backward(const std::vector<PackedBatch>& microBatches, int64_t step, double lossScale);
  std::optional<NotFinite> inWeights() const;
  std::optional<NotFinite> inForward(const PackedBatch& batch, int64_t step);
  std::optional<NotFinite> inGradient(const PackedBatch& row, int64_t step, double lossScale);

  std::shared_ptr<Model> model_;
  std::shared_ptr<Lora> lora_;
  TrainerOptions options_;
  std::unique_ptr<Engine> engine_;
  CrossEntropy loss_;
  int64_t optimizerStep_ = 0;
  at::Tensor expAvg_, expAvgSq_;  // [P] FP32
  double scale_ = 1;
  int64_t growthTracker_ = 0;
};

}  // namespace bt
