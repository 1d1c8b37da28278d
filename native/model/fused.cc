// The decoder layer forward and backward by hand on packed tokens. ATen multiplies the large matrices; everything else
// is single passes of kernels/. Every buffer comes from an arena. Only the adapter has gradients: none is computed for
// frozen weights, for the embedding, or for what stands below the lowest adapted layer.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mul.h>

#include <array>

#include "kernels/attention.h"
#include "kernels/dropout.h"
#include "kernels/gate.h"
#include "kernels/heads.h"
#include "kernels/norm.h"
#include "model/abort.h"
#include "model/arena.h"
#include "model/engine.h"
#include "model/error.h"
#include "model/places.h"

namespace bt {

namespace {

// Kernel element type to ATen's.
template <typename T>
constexpr at::ScalarType scalarType = at::kFloat;
template <>
constexpr at::ScalarType scalarType<Bf16> = at::kBFloat16;

template <typename T>
T* ptr(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

// out = x W^T (+ bias)
void linearInto(at::Tensor out, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (bias.defined()) {
    at::addmm_out(out, bias, x, weight.t());
  } else {
    at::mm_out(out, x, weight.t());
  }
}

// What one layer's backward needs of its forward.
struct Saved {
  at::Tensor x, mid;                      // [rows, hidden] input of the layer, and after attention
  at::Tensor inverse, inverseMid;         // [rows] 1 / rms of those
  at::Tensor q, k, v, logSumExp;          // head-major, see kernels/attention.h
  at::Tensor attended;                    // [rows, heads headDim]
  at::Tensor gateUp;                      // [rows, 2 inner]
  std::array<at::Tensor, kTargets> down;  // [rows, r] dropout(x) A^T of each adapted target
};

template <typename T>
class FusedEngine : public Engine {
 public:
  FusedEngine(Model& model, Lora& lora)
      : model_(model),
        lora_(lora),
        config_(model.config()),
        arena_(model.dtype(), model.device()),
        saved_(model.config().layers) {
    castWeights();
  }

  at::Tensor forward(const PackedBatch& batch, const DropoutKey& dropout, bool keep) override {
    const at::NoGradGuard noGrad;
    keep_ = keep;
    batch.validate(config_);
    batch_ = &batch;
    dropout_ = dropout;
    places_ = Places(batch);
    const auto [cos, sin] = model_.rotary(places_.longest);
    cos_ = cos;
    sin_ = sin;
    shape_ = {config_.heads,         config_.kvHeads,        config_.headDim,
              config_.slidingWindow, batch.cuSeqlens.data(), batch.rowCount()};
    predicting_ = indices(predictingTokens(batch));
    castWeights();

    at::Tensor x = arena_.get("x", {batch.tokenCount(), config_.hiddenSize}, 0);
    at::embedding_out(x, model_.embedding, indices(batch.tokens));
    for (int64_t l = 0; l < config_.layers; ++l) {
      checkAbort();
      x = layerForward(l, x);
    }
    lastHidden_ = x;
    finalInverse_ = arena_.get("finalInverse", {x.size(0)}, at::kFloat, 0);
    at::Tensor hidden = arena_.get("hidden", x.sizes());
    norm(hidden, finalInverse_, x, model_.finalNorm);
    return hidden;
  }

  void backward(const at::Tensor& gradHidden) override {
    const at::NoGradGuard noGrad;
    at::Tensor dx = arena_.get("dx", gradHidden.sizes());
    dx.zero_();
    normBackward(dx, gradHidden, lastHidden_, finalInverse_, model_.finalNorm);
    for (int64_t l = config_.layers; l-- > 0;) {
      checkAbort();
      dx = layerBackward(l, dx);
    }
  }

 private:
  // Which buffers layer l uses: its own where backward will follow, else those of every other layer.
  int64_t place(int64_t l) const { return keep_ ? l : 0; }
  bool last(int64_t l) const { return l + 1 == config_.layers; }
  int64_t tokens() const { return batch_->tokenCount(); }

  at::Tensor indices(const std::vector<int32_t>& values) const {
    return at::from_blob(const_cast<int32_t*>(values.data()), {static_cast<int64_t>(values.size())}, at::kInt)
        .to(at::kLong);
  }

  void norm(at::Tensor& y, at::Tensor& inverse, const at::Tensor& x, const at::Tensor& weight) {
    rmsNormForward(ptr<T>(y), ptr<float>(inverse), ptr<T>(x), ptr<T>(weight), x.size(0), x.size(1),
                   static_cast<float>(config_.rmsNormEps));
  }

  void normBackward(at::Tensor& dx, const at::Tensor& dy, const at::Tensor& x, const at::Tensor& inverse,
                    const at::Tensor& weight) {
    rmsNormBackward(ptr<T>(dx), ptr<T>(dy), ptr<T>(x), ptr<float>(inverse), ptr<T>(weight), x.size(0), x.size(1));
  }

  // The adapter's matrices in the model's dtype, refreshed before each forward: the optimizer moves the FP32 ones.
  void castWeights() {
    if constexpr (std::is_same_v<T, float>) {
      cast_ = lora_.weights;
    } else {
      if (!cast_.defined()) cast_ = at::empty(lora_.weights.sizes(), lora_.weights.options().dtype(scalarType<T>));
      cast_.copy_(lora_.weights);
    }
  }
  at::Tensor matrix(const at::Tensor& leaf) const {
    return cast_.narrow(0, leaf.storage_offset(), leaf.numel()).view(leaf.sizes());
  }

  bool adapted(int64_t l, Target target) const { return lora_.pair(l, target).a.defined(); }

  // Dropout's mask over the rows that this target sees, FP32.
  at::Tensor mask(int64_t l, Target target, int64_t rows) {
    const int64_t width = targetIn(config_, target);
    at::Tensor wide = arena_.get("mask", {tokens(), width}, at::kFloat, 0);
    dropoutMask(ptr<float>(wide), tokens(), width, places_.row.data(), places_.position.data(),
                dropoutStream(dropout_, l, target), dropout_.p);
    return rows == tokens() ? wide : wide.index_select(0, predicting_);
  }

  at::Tensor dropped(int64_t l, Target target, const at::Tensor& x) {
    if (dropout_.p == 0) return x;
    at::Tensor out = arena_.get("dropped", x.sizes());
    at::mul_out(out, x, mask(l, target, x.size(0)));
    return out;
  }

  // out += scale (dropout(x) A^T) B^T; keeps the narrow product.
  void loraForward(int64_t l, Target target, const at::Tensor& x, at::Tensor out) {
    if (!adapted(l, target)) return;
    const LoraPair& pair = lora_.pair(l, target);
    at::Tensor& narrow = saved_[l].down[static_cast<int>(target)];
    narrow = arena_.get(targetPath(target), {x.size(0), pair.a.size(0)}, place(l));
    at::mm_out(narrow, dropped(l, target, x), matrix(pair.a).t());
    at::addmm_out(out, out, narrow, matrix(pair.b).t(), 1, lora_.scale());
  }

  // Adds to the gradients of A and B; adds this target's share to dx unless dx is undefined.
  void loraBackward(int64_t l, Target target, const at::Tensor& x, const at::Tensor& dOut, at::Tensor dx) {
    if (!adapted(l, target)) return;
    const LoraPair& pair = lora_.pair(l, target);
    const at::Tensor& narrow = saved_[l].down[static_cast<int>(target)];
    at::Tensor dNarrow = arena_.get("dNarrow", narrow.sizes());
    at::mm_out(dNarrow, dOut, matrix(pair.b));
    dNarrow.mul_(lora_.scale());
    addProduct(pair.b.grad(), dOut.t(), narrow, lora_.scale());
    addProduct(pair.a.grad(), dNarrow.t(), dropped(l, target, x), 1);
    if (!dx.defined()) return;
    if (dropout_.p == 0) {
      at::addmm_out(dx, dx, dNarrow, matrix(pair.a));
    } else {
      at::Tensor share = arena_.get("dropped", x.sizes());
      at::mm_out(share, dNarrow, matrix(pair.a));
      dx.addcmul_(share, mask(l, target, x.size(0)));
    }
  }

  // gradient += factor a b, in FP32.
  void addProduct(at::Tensor gradient, const at::Tensor& a, const at::Tensor& b, double factor) {
    if constexpr (std::is_same_v<T, float>) {
      at::addmm_out(gradient, gradient, a, b, 1, factor);
    } else {
      at::Tensor product = arena_.get("product", gradient.sizes());
      at::mm_out(product, a, b);
      gradient.add_(product, factor);
    }
  }

  at::Tensor layerForward(int64_t l, const at::Tensor& x) {
    const DecoderLayer& layer = model_.layers[l];
    Saved& saved = saved_[l];
    const int64_t rows = tokens(), hidden = config_.hiddenSize, inner = config_.intermediateSize;
    const int64_t q = config_.qSize(), kv = config_.kvSize();
    saved.x = x;
    saved.inverse = arena_.get("inverse", {rows}, at::kFloat, place(l));
    at::Tensor normed = arena_.get("normed", {rows, hidden});
    norm(normed, saved.inverse, x, layer.inputNorm);

    at::Tensor qkv = arena_.get("qkv", {rows, q + 2 * kv});
    linearInto(qkv, normed, layer.qkv, layer.qkvBias);
    loraForward(l, Target::q, normed, qkv.narrow(1, 0, q));
    loraForward(l, Target::k, normed, qkv.narrow(1, q, kv));
    loraForward(l, Target::v, normed, qkv.narrow(1, q + kv, kv));
    saved.q = arena_.get("q", {rows, q}, place(l));
    saved.k = arena_.get("k", {rows, kv}, place(l));
    saved.v = arena_.get("v", {rows, kv}, place(l));
    saved.logSumExp = arena_.get("logSumExp", {rows, config_.heads}, at::kFloat, place(l));
    splitHeads(shape_, ptr<T>(qkv), ptr<float>(cos_), ptr<float>(sin_), ptr<T>(saved.q), ptr<T>(saved.k),
               ptr<T>(saved.v));
    at::Tensor attended = arena_.get("attended", {rows, q}, place(l));
    attentionForward(shape_, ptr<T>(saved.q), ptr<T>(saved.k), ptr<T>(saved.v), ptr<T>(attended),
                     ptr<float>(saved.logSumExp));
    saved.attended = attended;

    at::Tensor residual = x;
    if (last(l)) {
      // Above the last attention only the rows that predict a scored token matter.
      residual = arena_.get("residual", {predicting_.size(0), hidden});
      at::index_select_out(residual, x, 0, predicting_);
      at::Tensor chosen = arena_.get("attendedChosen", {predicting_.size(0), q});
      at::index_select_out(chosen, attended, 0, predicting_);
      attended = chosen;
    }
    const int64_t above = residual.size(0);
    saved.mid = arena_.get("mid", {above, hidden}, place(l));
    at::addmm_out(saved.mid, residual, attended, layer.out.t());
    if (layer.outBias.defined()) saved.mid.add_(layer.outBias);
    loraForward(l, Target::o, attended, saved.mid);

    saved.inverseMid = arena_.get("inverseMid", {above}, at::kFloat, place(l));
    at::Tensor normedMid = arena_.get("normed", {above, hidden});
    norm(normedMid, saved.inverseMid, saved.mid, layer.postNorm);
    saved.gateUp = arena_.get("gateUp", {above, 2 * inner}, place(l));
    linearInto(saved.gateUp, normedMid, layer.gateUp, layer.gateUpBias);
    loraForward(l, Target::gate, normedMid, saved.gateUp.narrow(1, 0, inner));
    loraForward(l, Target::up, normedMid, saved.gateUp.narrow(1, inner, inner));
    at::Tensor inside = arena_.get("inside", {above, inner});
    siluGateForward(ptr<T>(inside), ptr<T>(saved.gateUp), above, inner);
    at::Tensor out = arena_.get("x", {above, hidden}, keep_ ? l + 1 : (l + 1) % 2);
    at::addmm_out(out, saved.mid, inside, layer.down.t());
    if (layer.downBias.defined()) out.add_(layer.downBias);
    loraForward(l, Target::down, inside, out);
    return out;
  }

  // dx: gradient of the layer's output; returned: of its input (undefined for layer 0, where nobody needs it).
  at::Tensor layerBackward(int64_t l, at::Tensor dx) {
    feedForwardBackward(l, dx);
    const DecoderLayer& layer = model_.layers[l];
    Saved& saved = saved_[l];
    const int64_t rows = tokens(), hidden = config_.hiddenSize, q = config_.qSize(), kv = config_.kvSize();

    at::Tensor dAttended = arena_.get("dAttended", {dx.size(0), q});
    at::mm_out(dAttended, dx, layer.out);
    if (adapted(l, Target::o)) {
      const at::Tensor input = last(l) ? arena_.get("attendedChosen", {dx.size(0), q}) : saved.attended;
      loraBackward(l, Target::o, input, dx, dAttended);
    }
    if (last(l)) {
      dAttended = spread(dAttended, "dAttendedAll");
      dx = spread(dx, "dxAll");
    }
    at::Tensor dq = arena_.get("dq", {rows, q}), dk = arena_.get("dk", {rows, kv}), dv = arena_.get("dv", {rows, kv});
    attentionBackward(shape_, ptr<T>(saved.q), ptr<T>(saved.k), ptr<T>(saved.v), ptr<T>(saved.attended),
                      ptr<float>(saved.logSumExp), ptr<T>(dAttended), ptr<T>(dq), ptr<T>(dk), ptr<T>(dv));
    at::Tensor dqkv = arena_.get("qkv", {rows, q + 2 * kv});
    joinHeads(shape_, ptr<T>(dq), ptr<T>(dk), ptr<T>(dv), ptr<float>(cos_), ptr<float>(sin_), ptr<T>(dqkv));

    at::Tensor dNormed;
    if (l > 0) {
      dNormed = arena_.get("dNormed", {rows, hidden});
      at::mm_out(dNormed, dqkv, layer.qkv);
    }
    if (adapted(l, Target::q) || adapted(l, Target::k) || adapted(l, Target::v)) {
      at::Tensor normed = arena_.get("normed", {rows, hidden});
      norm(normed, saved.inverse, saved.x, layer.inputNorm);
      loraBackward(l, Target::q, normed, dqkv.narrow(1, 0, q), dNormed);
      loraBackward(l, Target::k, normed, dqkv.narrow(1, q, kv), dNormed);
      loraBackward(l, Target::v, normed, dqkv.narrow(1, q + kv, kv), dNormed);
    }
    if (l == 0) return {};
    normBackward(dx, dNormed, saved.x, saved.inverse, layer.inputNorm);
    return dx;
  }

  // Through the feed-forward part: dx becomes the gradient of `mid`.
  void feedForwardBackward(int64_t l, at::Tensor& dx) {
    const DecoderLayer& layer = model_.layers[l];
    Saved& saved = saved_[l];
    const int64_t above = dx.size(0), hidden = config_.hiddenSize, inner = config_.intermediateSize;
    at::Tensor dInside = arena_.get("inside", {above, inner});
    at::mm_out(dInside, dx, layer.down);
    if (adapted(l, Target::down)) {
      at::Tensor inside = arena_.get("insideAgain", {above, inner});
      siluGateForward(ptr<T>(inside), ptr<T>(saved.gateUp), above, inner);
      loraBackward(l, Target::down, inside, dx, dInside);
    }
    siluGateBackward(ptr<T>(saved.gateUp), ptr<T>(dInside), above, inner);
    at::Tensor dNormed = arena_.get("dNormed", {above, hidden});
    at::mm_out(dNormed, saved.gateUp, layer.gateUp);
    if (adapted(l, Target::gate) || adapted(l, Target::up)) {
      at::Tensor normed = arena_.get("normed", {above, hidden});
      norm(normed, saved.inverseMid, saved.mid, layer.postNorm);
      loraBackward(l, Target::gate, normed, saved.gateUp.narrow(1, 0, inner), dNormed);
      loraBackward(l, Target::up, normed, saved.gateUp.narrow(1, inner, inner), dNormed);
    }
    normBackward(dx, dNormed, saved.mid, saved.inverseMid, layer.postNorm);
  }

  // Rows of the scored tokens' predecessors back among all tokens, zeros elsewhere.
  at::Tensor spread(const at::Tensor& chosen, const char* name) {
    at::Tensor all = arena_.get(name, {tokens(), chosen.size(1)});
    all.zero_();
    all.index_copy_(0, predicting_, chosen);
    return all;
  }

  Model& model_;
  Lora& lora_;
  const ModelConfig& config_;
  Arena arena_;
  std::vector<Saved> saved_;
  at::Tensor cast_;  // [P] the adapter's weights in T

  // Of the batch under way.
  const PackedBatch* batch_ = nullptr;
  bool keep_ = true;
  DropoutKey dropout_;
  Places places_;
  AttentionShape shape_{};
  at::Tensor cos_, sin_, predicting_, lastHidden_, finalInverse_;
};

}  // namespace

bool fusedServes(const Model& model) {
  const bool typed = model.dtype() == at::kFloat || model.dtype() == at::kBFloat16;
  return model.device().is_cpu() && typed && !model.config().qkNorm;
}

std::unique_ptr<Engine> makeFusedEngine(Model& model, Lora& lora) {
  if (!fusedServes(model)) {
    throw Error("BT_ARGUMENT", "the fused engine trains on CPUs in FP32 and BF16, models without q/k norm");
  }
  if (model.dtype() == at::kFloat) return std::make_unique<FusedEngine<float>>(model, lora);
  return std::make_unique<FusedEngine<Bf16>>(model, lora);
}

}  // namespace bt
