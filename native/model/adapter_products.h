// The thin products of LoRA beside a layer's wide ones, forward and backward by hand: y += scale (dropout(x) A^T) B^T.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <vector>

#include "model/arena.h"
#include "model/layer_ops.h"
#include "model/lora.h"
#include "model/reference.h"

namespace bt {

class AdapterProducts {
 public:
  // lora null: nothing is adapted.
  AdapterProducts(const Model& model, Lora* lora, LayerOps& ops, Arena& arena);

  // Before each forward: brings the FP32 matrices, which the optimizer moves, into the model's dtype.
  // predicting: [S] the tokens whose rows are computed above the last attention. keep: backward follows, and finds
  // what forward() left for each layer; without it, for the last one.
  void begin(const DropoutKey& dropout, int64_t tokens, const at::Tensor& predicting, bool keep);

  bool adapted(int64_t layer, Target target) const {
    return lora_ != nullptr && lora_->pair(layer, target).a.defined();
  }

  // out += scale (dropout(x) A^T) B^T.   x: [rows, in]; out: [rows, out], its rows may lie apart. Without `out` it
  // makes what backward() needs alone.
  void forward(int64_t layer, Target target, const at::Tensor& x, at::Tensor out);
  // Adds to the gradients of A and B; adds this target's share to dx unless dx is undefined.
  void backward(int64_t layer, Target target, const at::Tensor& x, const at::Tensor& dOut, at::Tensor dx);

 private:
  at::Tensor matrix(const at::Tensor& leaf) const;
  at::Tensor mask(int64_t layer, Target target, int64_t rows);
  at::Tensor dropped(int64_t layer, Target target, const at::Tensor& x);
  void addProduct(at::Tensor gradient, const at::Tensor& a, const at::Tensor& b, double factor);

  const ModelConfig& config_;
  Lora* lora_;
  LayerOps& ops_;
  Arena& arena_;
  at::Tensor cast_;                                       // [P] the adapter's weights in the model's dtype
  std::vector<std::array<at::Tensor, kTargets>> narrow_;  // [layers] dropout(x) A^T, [rows, r]
  DropoutKey dropout_;
  int64_t tokens_ = 0;
  at::Tensor predicting_;
  bool keep_ = true;
};

}  // namespace bt
