// The decoder layer forward and backward by hand on packed tokens. ATen multiplies the large matrices; everything else
// is single passes of LayerOps. Every buffer comes from an arena. Only the adapter has gradients: none is computed for
// frozen weights, for the embedding, or for what stands below the lowest adapted layer.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mm.h>

#include "model/abort.h"
#include "model/adapter_products.h"
#include "model/arena.h"
#include "model/cuda_library.h"
#include "model/engine.h"
#include "model/layer_ops.h"
#include "model/places.h"
#include "model/shared_prefix.h"

namespace bt {

namespace {

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
  at::Tensor x, mid;               // [rows, hidden] input of the layer, and after attention
  at::Tensor inverse, inverseMid;  // [rows] 1 / rms of those
  at::Tensor qkv, inverseHeads;    // with q/k norm: [rows, q + 2 kv] before it, [rows, heads + kvHeads] 1 / rms
  at::Tensor q, k, v, logSumExp;   // as LayerOps lays them out
  at::Tensor attended;             // [rows, heads headDim]
  at::Tensor gateUp;               // [rows, 2 inner]
};

class FusedEngine : public ContinuingEngine {
 public:
  FusedEngine(Model& model, Lora* lora, std::unique_ptr<LayerOps> ops, bool recompute)
      : model_(model),
        config_(model.config()),
        recompute_(recompute),
        ops_(std::move(ops)),
        arena_(model.dtype(), model.device()),
        adapter_(model, lora, *ops_, arena_),
        saved_(model.config().layers) {
    model.load();
  }

  void prepare(const PackedBatch& batch, const DropoutKey& dropout, bool keep) override {
    const at::NoGradGuard noGrad;
    batch.validate(config_);
    continued_ = nullptr;
    // Dropout's masks differ from row to row, so nothing is shared under them.
    const int64_t prefix = dropout.p == 0 && ops_->servesPrefix() ? sharedPrefix(batch) : 0;
    batch_ = prefix > 0 ? withoutRepeats(batch, prefix) : batch;
    begin(Places(batch_), prefix, predictingTokens(batch_), dropout, keep);
  }

  at::Tensor continueRows(const PackedBatch& batch, const ContinuedRows& rows) override {
    const at::NoGradGuard noGrad;
    batch_ = batch;
    continued_ = &rows;
    begin(Places(batch_, rows.starts), 0, rows.asked, {}, false);
    return run();
  }

  at::Tensor run() override {
    const at::NoGradGuard noGrad;
    at::Tensor x = arena_.get("x", {tokens_, config_.hiddenSize}, 0);
    at::embedding_out(x, model_.embedding, tokenIds_);
    for (int64_t l = 0; l < config_.layers; ++l) {
      checkAbort();
      x = layerForward(l, x);
    }
    lastHidden_ = x;
    finalInverse_ = arena_.get("finalInverse", {x.size(0)}, at::kFloat, 0);
    at::Tensor hidden = arena_.get("hidden", x.sizes());
    ops_->norm(hidden, finalInverse_, x, model_.finalNorm);
    return hidden;
  }

  void backward(const at::Tensor& gradHidden) override {
    const at::NoGradGuard noGrad;
    at::Tensor dx = arena_.get("dx", gradHidden.sizes());
    dx.zero_();
    ops_->normBackward(dx, gradHidden, lastHidden_, finalInverse_, model_.finalNorm);
    for (int64_t l = config_.layers; l-- > 0;) {
      checkAbort();
      // The last layer's buffers are as its forward left them.
      if (recompute_ && !last(l)) fillAgain(l);
      dx = layerBackward(l, dx);
    }
  }

  int64_t generation() const override {
    const int64_t ofOps = ops_->generation();
    return ofOps < 0 ? ofOps : ofOps + arena_.generation();
  }

  void addBuffers(BufferBytes& bytes) const override {
    arena_.addTo(bytes);
    ops_->addBuffers(bytes);
  }

 private:
  // What asks the host, for batch_. asked: tokens whose hidden states the forward gives.
  void begin(Places places, int64_t prefix, const std::vector<int32_t>& asked, const DropoutKey& dropout, bool keep) {
    keep_ = keep;
    tokens_ = batch_.tokenCount();
    places_ = std::move(places);
    const auto [cos, sin] = model_.rotary(places_.longest + prefix);
    ops_->begin({&batch_, &places_, prefix, cos, sin, dropout});
    tokenIds_ = indices("tokenIds", batch_.tokens);
    predicting_ = indices("predicting", asked);
    adapter_.begin(dropout, tokens_, predicting_, keepsAll());
  }

  // Whether backward finds what it needs of every layer, and not of its input alone.
  bool keepsAll() const { return keep_ && !recompute_; }
  // Which buffers layer l uses: its own where they are kept, else those of every other layer.
  int64_t place(int64_t l) const { return keepsAll() ? l : 0; }
  bool last(int64_t l) const { return l + 1 == config_.layers; }

  at::Tensor indices(const char* name, const std::vector<int32_t>& values) {
    const auto count = static_cast<int64_t>(values.size());
    at::Tensor there = arena_.get(name, {count}, at::kLong, 0);
    there.copy_(at::from_blob(const_cast<int32_t*>(values.data()), {count}, at::kInt));
    return there;
  }

  // Everything that layer l's backward needs, from the layer's input.
  void fill(int64_t l, const at::Tensor& x) {
    const DecoderLayer& layer = model_.layers[l];
    Saved& saved = saved_[l];
    const int64_t rows = tokens_, hidden = config_.hiddenSize, inner = config_.intermediateSize;
    const int64_t q = config_.qSize(), kv = config_.kvSize();
    saved.x = x;
    saved.inverse = arena_.get("inverse", {rows}, at::kFloat, place(l));
    at::Tensor normed = arena_.get("normed", {rows, hidden});
    ops_->norm(normed, saved.inverse, x, layer.inputNorm);

    at::Tensor qkv = arena_.get("qkv", {rows, q + 2 * kv}, config_.qkNorm ? place(l) : 0);
    linearInto(qkv, normed, layer.qkv, layer.qkvBias);
    adapter_.forward(l, Target::q, normed, qkv.narrow(1, 0, q));
    adapter_.forward(l, Target::k, normed, qkv.narrow(1, q, kv));
    adapter_.forward(l, Target::v, normed, qkv.narrow(1, q + kv, kv));
    saved.q = arena_.get("q", {rows, q}, place(l));
    saved.k = arena_.get("k", {rows, kv}, place(l));
    saved.v = arena_.get("v", {rows, kv}, place(l));
    saved.logSumExp = arena_.get("logSumExp", {rows, config_.heads}, at::kFloat, place(l));
    if (config_.qkNorm) {
      saved.qkv = qkv;
      saved.inverseHeads = arena_.get("inverseHeads", {rows, config_.heads + config_.kvHeads}, at::kFloat, place(l));
      qkv = arena_.get("qkvNormed", {rows, q + 2 * kv});
      ops_->headNorm(qkv, saved.inverseHeads, saved.qkv, layer.qNorm, layer.kNorm);
    }
    ops_->splitHeads(qkv, saved.q, saved.k, saved.v);
    at::Tensor attended = arena_.get("attended", {rows, q}, place(l));
    if (continued_ == nullptr) {
      ops_->attention(saved.q, saved.k, saved.v, attended, saved.logSumExp);
    } else {
      const auto byHead = [&](const at::Tensor& x) { return x.view({rows, -1, config_.headDim}); };
      continued_->attend(l, byHead(saved.q), byHead(saved.k), byHead(saved.v), attended);
    }
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
    adapter_.forward(l, Target::o, attended, saved.mid);

    saved.inverseMid = arena_.get("inverseMid", {above}, at::kFloat, place(l));
    at::Tensor normedMid = arena_.get("normed", {above, hidden});
    ops_->norm(normedMid, saved.inverseMid, saved.mid, layer.postNorm);
    saved.gateUp = arena_.get("gateUp", {above, 2 * inner}, place(l));
    linearInto(saved.gateUp, normedMid, layer.gateUp, layer.gateUpBias);
    adapter_.forward(l, Target::gate, normedMid, saved.gateUp.narrow(1, 0, inner));
    adapter_.forward(l, Target::up, normedMid, saved.gateUp.narrow(1, inner, inner));
  }

  // The same once more, in the buffers that all layers share.
  void fillAgain(int64_t l) {
    fill(l, saved_[l].x);
    if (adapter_.adapted(l, Target::down)) adapter_.forward(l, Target::down, gated(l, "inside"), at::Tensor());
  }

  // What goes into the down projection: [rows, inner]
  at::Tensor gated(int64_t l, const char* name) {
    const at::Tensor& gateUp = saved_[l].gateUp;
    at::Tensor inside = arena_.get(name, {gateUp.size(0), config_.intermediateSize});
    ops_->gate(inside, gateUp);
    return inside;
  }

  at::Tensor layerForward(int64_t l, const at::Tensor& x) {
    fill(l, x);
    const DecoderLayer& layer = model_.layers[l];
    const at::Tensor& mid = saved_[l].mid;
    const at::Tensor inside = gated(l, "inside");
    at::Tensor out = arena_.get("x", mid.sizes(), keep_ ? l + 1 : (l + 1) % 2);
    at::addmm_out(out, mid, inside, layer.down.t());
    if (layer.downBias.defined()) out.add_(layer.downBias);
    adapter_.forward(l, Target::down, inside, out);
    return out;
  }

  // dx: gradient of the layer's output; returned: of its input (undefined for layer 0, where nobody needs it).
  at::Tensor layerBackward(int64_t l, at::Tensor dx) {
    feedForwardBackward(l, dx);
    const DecoderLayer& layer = model_.layers[l];
    Saved& saved = saved_[l];
    const int64_t rows = tokens_, hidden = config_.hiddenSize, q = config_.qSize(), kv = config_.kvSize();

    at::Tensor dAttended = arena_.get("dAttended", {dx.size(0), q});
    at::mm_out(dAttended, dx, layer.out);
    if (adapter_.adapted(l, Target::o)) {
      const at::Tensor input = last(l) ? arena_.get("attendedChosen", {dx.size(0), q}) : saved.attended;
      adapter_.backward(l, Target::o, input, dx, dAttended);
    }
    if (last(l)) {
      dAttended = spread(dAttended, "dAttendedAll");
      dx = spread(dx, "dxAll");
    }
    at::Tensor dq = arena_.get("dq", {rows, q}), dk = arena_.get("dk", {rows, kv}), dv = arena_.get("dv", {rows, kv});
    ops_->attentionBackward(saved.q, saved.k, saved.v, saved.attended, saved.logSumExp, dAttended, dq, dk, dv);
    at::Tensor dqkv = arena_.get("dqkv", {rows, q + 2 * kv});
    ops_->joinHeads(dq, dk, dv, dqkv);
    if (config_.qkNorm) ops_->headNormBackward(dqkv, saved.qkv, saved.inverseHeads, layer.qNorm, layer.kNorm);

    at::Tensor dNormed;
    if (l > 0) {
      dNormed = arena_.get("dNormed", {rows, hidden});
      at::mm_out(dNormed, dqkv, layer.qkv);
    }
    if (adapter_.adapted(l, Target::q) || adapter_.adapted(l, Target::k) || adapter_.adapted(l, Target::v)) {
      at::Tensor normed = arena_.get("normed", {rows, hidden});
      ops_->norm(normed, saved.inverse, saved.x, layer.inputNorm);
      adapter_.backward(l, Target::q, normed, dqkv.narrow(1, 0, q), dNormed);
      adapter_.backward(l, Target::k, normed, dqkv.narrow(1, q, kv), dNormed);
      adapter_.backward(l, Target::v, normed, dqkv.narrow(1, q + kv, kv), dNormed);
    }
    if (l == 0) return {};
    ops_->normBackward(dx, dNormed, saved.x, saved.inverse, layer.inputNorm);
    return dx;
  }

  // Through the feed-forward part: dx becomes the gradient of `mid`.
  void feedForwardBackward(int64_t l, at::Tensor& dx) {
    const DecoderLayer& layer = model_.layers[l];
    Saved& saved = saved_[l];
    const int64_t above = dx.size(0), hidden = config_.hiddenSize, inner = config_.intermediateSize;
    at::Tensor dInside = arena_.get("inside", {above, inner});
    at::mm_out(dInside, dx, layer.down);
    if (adapter_.adapted(l, Target::down)) {
      adapter_.backward(l, Target::down, gated(l, "insideAgain"), dx, dInside);
    }
    ops_->gateBackward(saved.gateUp, dInside);
    at::Tensor dNormed = arena_.get("dNormed", {above, hidden});
    at::mm_out(dNormed, saved.gateUp, layer.gateUp);
    if (adapter_.adapted(l, Target::gate) || adapter_.adapted(l, Target::up)) {
      at::Tensor normed = arena_.get("normed", {above, hidden});
      ops_->norm(normed, saved.inverseMid, saved.mid, layer.postNorm);
      adapter_.backward(l, Target::gate, normed, saved.gateUp.narrow(1, 0, inner), dNormed);
      adapter_.backward(l, Target::up, normed, saved.gateUp.narrow(1, inner, inner), dNormed);
    }
    ops_->normBackward(dx, dNormed, saved.mid, saved.inverseMid, layer.postNorm);
  }

  // Rows of the scored tokens' predecessors back among all tokens, zeros elsewhere.
  at::Tensor spread(const at::Tensor& chosen, const char* name) {
    at::Tensor all = arena_.get(name, {tokens_, chosen.size(1)});
    all.zero_();
    all.index_copy_(0, predicting_, chosen);
    return all;
  }

  Model& model_;
  const ModelConfig& config_;
  const bool recompute_;
  std::unique_ptr<LayerOps> ops_;
  Arena arena_;
  AdapterProducts adapter_;
  std::vector<Saved> saved_;

  // Of the batch under way.
  PackedBatch batch_;                         // without what its rows share
  const ContinuedRows* continued_ = nullptr;  // null: rows stand for themselves
  int64_t tokens_ = 0;
  bool keep_ = true;
  Places places_;
  at::Tensor tokenIds_, predicting_, lastHidden_, finalInverse_;
};

}  // namespace

namespace {

std::unique_ptr<LayerOps> makeOps(const Model& model, const FusedOptions& options) {
  if (options.aten) return makeAtenOps(model.config(), model.dtype(), model.device());
  if (model.device().is_cuda()) return makeCudaOps(model.config(), model.dtype(), model.device());
  return makeCpuOps(model.config(), model.dtype());
}

}  // namespace

std::unique_ptr<ContinuingEngine> makeContinuingEngine(Model& model, Lora* lora) {
  FusedOptions options;
  options.aten = model.device().is_cpu();  // CpuOps has an order of its own for q, k and v
  return std::make_unique<FusedEngine>(model, lora, makeOps(model, options), options.recompute);
}

std::unique_ptr<Engine> makeFusedEngine(Model& model, Lora& lora, const FusedOptions& options) {
  auto engine = std::make_unique<FusedEngine>(model, &lora, makeOps(model, options), options.recompute);
  if (options.graphs == Graphs::padded) return makePaddedEngine(model.config(), std::move(engine));
  // On a CPU generation() says no, so the library is asked for where there is a GPU alone.
  if (options.graphs == Graphs::off || engine->generation() < 0) return engine;
  const BtCudaFunctions* cuda = cudaLibrary().functions;
  if (cuda == nullptr) return engine;
  return makePaddedEngine(model.config(), std::move(engine), cuda, model.device().index());
}

}  // namespace bt
