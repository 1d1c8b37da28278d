#include <ATen/core/grad_mode.h>

#include "model/engine.h"

namespace bt {

namespace {

class ReferenceEngine : public Engine {
 public:
  ReferenceEngine(Model& model, Lora& lora) : model_(model), lora_(lora) {}

  at::Tensor forward(const PackedBatch& batch, const DropoutKey& dropout) override {
    const at::AutoGradMode gradients(true);
    hidden_ = referenceForward(model_, &lora_, batch, dropout);
    return hidden_.detach();
  }

  void backward(const at::Tensor& gradHidden) override {
    hidden_.backward(gradHidden);
    hidden_ = at::Tensor();
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
