#include <ATen/core/grad_mode.h>

#include <utility>

#include "model/engine.h"

namespace bt {

namespace {

class ReferenceEngine : public Engine {
 public:
  ReferenceEngine(Model& model, Lora& lora) : model_(model), lora_(lora) {}

  at::Tensor forward(const PackedBatch& batch, const DropoutKey& dropout, bool keep) override {
    const at::AutoGradMode gradients(keep);
    hidden_ = at::Tensor();  // a graph left by a step that failed is freed before the next one is built
    hidden_ = referenceForward(model_, &lora_, batch, dropout);
    return hidden_.detach();
  }

  void backward(const at::Tensor& gradHidden) override {
    const at::Tensor hidden = std::exchange(hidden_, at::Tensor());
    hidden.backward(gradHidden);
  }

 private:
  Model& model_;
  Lora& lora_;
  at::Tensor hidden_;
};

}  // namespace

std::unique_ptr<Engine> makeReferenceEngine(Model& model, Lora& lora) {
  return std::make_unique<ReferenceEngine>(model, lora);
}

}  // namespace bt
