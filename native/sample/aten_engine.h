// Sampling by ATen's operators, on any device and in any type: a slot of cache for each sequence, and the adapter as it
// is at the time of a pass. A row's last bits depend on its neighbours.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "model/engine.h"
#include "model/lora.h"
#include "model/model.h"
#include "sample/engine.h"

namespace bt {

class AtenEngine : public SamplerEngine {
 public:
  // Room for `slots` sequences of `maxTokens` tokens. lora may be null.
  AtenEngine(std::shared_ptr<Model> model, std::shared_ptr<Lora> lora, int64_t slots, int64_t maxTokens);

  int64_t capacity() const override { return maxTokens_; }
  bool open(CachedSequence& sequence, int64_t longest, int64_t mostShared, int64_t leave) override;
  void close(CachedSequence& sequence) override;
  void run(const std::vector<Share>& shares) override;
  float* logits(int64_t first, int64_t count) override;
  std::vector<float> logProbs(const PackedBatch& batch) override;

 private:
  std::shared_ptr<Model> model_;
  std::shared_ptr<Lora> lora_;
  int64_t maxTokens_;
  std::vector<at::Tensor> keys_, values_;  // a layer: [slots, kvHeads, maxTokens, headDim]
  std::vector<int32_t> freeSlots_;
  std::unique_ptr<ContinuingEngine> engine_;
  at::Tensor hidden_, logits_;
};

}  // namespace bt
