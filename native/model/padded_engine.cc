#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "model/budget.h"
#include "model/cuda_graph.h"
#include "model/engine.h"

namespace bt {

namespace {

constexpr size_t kMostGraphs = 64;  // sizes that are captured; a batch of another runs at once

class PaddedEngine : public Engine {
 public:
  PaddedEngine(const ModelConfig& config, std::unique_ptr<StagedEngine> engine, const BtCudaFunctions* cuda, int device)
      : config_(config), engine_(std::move(engine)), cuda_(cuda), device_(device) {}

  at::Tensor forward(const PackedBatch& batch, const DropoutKey& dropout, bool keep) override {
    if (!keep) return engine_->forward(batch, dropout, keep);
    batch.validate(config_);
    padded_ = padded(batch);
    engine_->prepare(padded_, dropout, keep);
    begin(budgetOf(padded_));
    const at::Tensor hidden = present_ != nullptr ? forwardByGraph() : engine_->run();
    return hidden.narrow(0, 0, static_cast<int64_t>(batch.scored.size()));
  }

  void backward(const at::Tensor& gradHidden) override {
    const at::NoGradGuard noGrad;
    const std::array sizes{static_cast<int64_t>(padded_.scored.size()), gradHidden.size(1)};
    at::Tensor gradient = present_ != nullptr ? present_->gradient : at::Tensor();
    if (!gradient.defined()) gradient = at::zeros(sizes, gradHidden.options());
    gradient.narrow(0, 0, gradHidden.size(0)).copy_(gradHidden);
    // The rows of what was added were never written: no loss counts them.
    gradient.narrow(0, gradHidden.size(0), sizes[0] - gradHidden.size(0)).zero_();
    if (present_ == nullptr) {
      engine_->backward(gradient);
      if (size_ != nullptr) size_->generation = engine_->generation();
      return;
    }
    if (!present_->backward) {
      present_->gradient = gradient;
      present_->backward.emplace(*cuda_, device_, pool_, [&] { engine_->backward(gradient); });
    }
    present_->backward->replay();
  }

  void addBuffers(BufferBytes& bytes) const override { engine_->addBuffers(bytes); }

 private:
  // One Budget's graphs.
  struct Captured {
    std::optional<CudaGraph> forward, backward;
    at::Tensor hidden, gradient;  // [S, hidden] where they write and read
  };
  struct Size {
    int64_t generation = -1;  // of the engine's memory when it last ran for this size
    Captured captured;
  };

  // Decides how this batch runs. A size runs at once until it has done so with memory that has not moved since; then it
  // is captured, and what was captured for it before is void.
  void begin(const Budget& budget) {
    size_ = nullptr;
    present_ = nullptr;
    if (cuda_ == nullptr) return;
    const auto found = sizes_.find(budget);
    if (found == sizes_.end() && sizes_.size() >= kMostGraphs) return;
    size_ = found != sizes_.end() ? &found->second : &sizes_[budget];
    if (size_->generation == engine_->generation()) {
      present_ = &size_->captured;
    } else {
      size_->captured = {};
    }
  }

  // The graph of backward is captured right after that of forward, while the engine's notes are of this size.
  at::Tensor forwardByGraph() {
    if (!present_->forward || !present_->backward) {
      *present_ = {};
      if (!anyCaptured()) checkCuda(*cuda_, cuda_->graphPool(&pool_));
      present_->forward.emplace(*cuda_, device_, pool_, [&] { present_->hidden = engine_->run(); });
    }
    present_->forward->replay();
    return present_->hidden;
  }

  // libtorch gives a pool up with the last graph that uses it.
  bool anyCaptured() const {
    return std::any_of(sizes_.begin(), sizes_.end(),
                       [](const auto& one) { return one.second.captured.forward.has_value(); });
  }

  const ModelConfig& config_;
  std::unique_ptr<StagedEngine> engine_;
  const BtCudaFunctions* cuda_;  // null: nothing is captured
  int device_;
  BtCudaPool pool_{};
  std::map<Budget, Size> sizes_;

  // Of the batch under way.
  PackedBatch padded_;
  Size* size_ = nullptr;
  Captured* present_ = nullptr;  // null: it runs at once
};

}  // namespace

std::unique_ptr<Engine> makePaddedEngine(const ModelConfig& config, std::unique_ptr<StagedEngine> engine,
                                         const BtCudaFunctions* cuda, int device) {
  return std::make_unique<PaddedEngine>(config, std::move(engine), cuda, device);
}

}  // namespace bt
