#include "model/adapter_products.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mul.h>

namespace bt {

AdapterProducts::AdapterProducts(const Model& model, Lora* lora, LayerOps& ops, Arena& arena)
    : config_(model.config()), lora_(lora), ops_(ops), arena_(arena), narrow_(model.config().layers) {
  if (lora == nullptr) return;
  cast_ = model.dtype() == at::kFloat ? lora->weights
                                      : at::empty(lora->weights.sizes(), lora->weights.options().dtype(model.dtype()));
}

void AdapterProducts::begin(const DropoutKey& dropout, int64_t tokens, const at::Tensor& predicting, bool keep) {
  dropout_ = dropout;
  tokens_ = tokens;
  predicting_ = predicting;
  keep_ = keep;
  if (cast_.defined() && cast_.scalar_type() != at::kFloat) cast_.copy_(lora_->weights);
}

at::Tensor AdapterProducts::matrix(const at::Tensor& leaf) const {
  return cast_.narrow(0, leaf.storage_offset(), leaf.numel()).view(leaf.sizes());
}

// Dropout's mask over the rows that this target sees, FP32.
at::Tensor AdapterProducts::mask(int64_t layer, Target target, int64_t rows) {
  at::Tensor all = arena_.get("mask", {tokens_, targetIn(config_, target)}, at::kFloat, 0);
  ops_.dropoutMask(all, dropoutIndex(layer, target), dropout_.p);
  return rows == tokens_ ? all : all.index_select(0, predicting_);
}

at::Tensor AdapterProducts::dropped(int64_t layer, Target target, const at::Tensor& x) {
  if (dropout_.p == 0) return x;
  at::Tensor out = arena_.get("dropped", x.sizes());
  at::mul_out(out, x, mask(layer, target, x.size(0)));
  return out;
}

void AdapterProducts::forward(int64_t layer, Target target, const at::Tensor& x, at::Tensor out) {
  if (!adapted(layer, target)) return;
  const LoraPair& pair = lora_->pair(layer, target);
  at::Tensor& narrow = narrow_[layer][static_cast<int>(target)];
  narrow = arena_.get(targetPath(target), {x.size(0), pair.a.size(0)}, keep_ ? layer : 0);
  at::mm_out(narrow, dropped(layer, target, x), matrix(pair.a).t());
  if (out.defined()) at::addmm_out(out, out, narrow, matrix(pair.b).t(), 1, lora_->scale());
}

void AdapterProducts::backward(int64_t layer, Target target, const at::Tensor& x, const at::Tensor& dOut,
                               at::Tensor dx) {
  if (!adapted(layer, target)) return;
  const LoraPair& pair = lora_->pair(layer, target);
  const at::Tensor& narrow = narrow_[layer][static_cast<int>(target)];
  at::Tensor dNarrow = arena_.get("dNarrow", narrow.sizes());
  at::mm_out(dNarrow, dOut, matrix(pair.b));
  dNarrow.mul_(lora_->scale());
  addProduct(pair.b.grad(), dOut.t(), narrow, lora_->scale());
  addProduct(pair.a.grad(), dNarrow.t(), dropped(layer, target, x), 1);
  if (!dx.defined()) return;
  if (dropout_.p == 0) {
    at::addmm_out(dx, dx, dNarrow, matrix(pair.a));
  } else {
    at::Tensor share = arena_.get("dropped", x.sizes());
    at::mm_out(share, dNarrow, matrix(pair.a));
    dx.addcmul_(share, mask(layer, target, x.size(0)));
  }
}

// gradient += factor a b, in FP32.
void AdapterProducts::addProduct(at::Tensor gradient, const at::Tensor& a, const at::Tensor& b, double factor) {
  if (a.scalar_type() == at::kFloat) {
    at::addmm_out(gradient, gradient, a, b, 1, factor);
  } else {
    at::Tensor product = arena_.get("product", gradient.sizes());
    at::mm_out(product, a, b);
    gradient.add_(product, factor);
  }
}

}  // namespace bt
