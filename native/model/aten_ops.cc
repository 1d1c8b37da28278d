#include "model/aten_ops.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>

#include <optional>

#include "cuda/arithmetic.h"
#include "model/budget.h"
#include "model/decoder.h"
#include "model/sequence_attention.h"

namespace bt {

namespace {

at::Tensor wide(const at::Tensor& x) { return x.to(at::kFloat); }

// y = x / rms(x) * weight over the last dimension, rounded as kernels/norm.h says.   inverse: [.., 1]
at::Tensor normed(const at::Tensor& x, const at::Tensor& inverse, const at::Tensor& weight) {
  return (wide(x) * inverse).to(x.scalar_type()) * weight;
}
at::Tensor inverseRms(const at::Tensor& x, double eps) { return at::rsqrt(wide(x).square().mean(-1, true) + eps); }

// The gradient of x, FP32.
at::Tensor normGradient(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& inverse,
                        const at::Tensor& weight) {
  const at::Tensor g = wide(dy) * wide(weight), unit = wide(x) * inverse;
  return inverse * (g - unit * (g * unit).mean(-1, true));
}

// ---- kernels/random.h on tensors of int64, whose products wrap as those of uint64 do.

at::Tensor shiftedRight(const at::Tensor& x, int64_t bits) {
  return x.bitwise_right_shift(bits).bitwise_and_((int64_t{1} << (64 - bits)) - 1);
}
at::Tensor mixed(const at::Tensor& bits) {
  at::Tensor x = bits + static_cast<int64_t>(0x9e3779b97f4a7c15ull);
  x = (x ^ shiftedRight(x, 30)).mul_(static_cast<int64_t>(0xbf58476d1ce4e5b9ull));
  x = (x ^ shiftedRight(x, 27)).mul_(static_cast<int64_t>(0x94d049bb133111ebull));
  return x ^ shiftedRight(x, 31);
}
constexpr int64_t kLow = 0xffffffff;

}  // namespace

AtenOps::AtenOps(const ModelConfig& config, at::ScalarType dtype, at::Device device, bool flash)
    : config_(config), flash_(flash), arena_(dtype, device) {}

template <typename Values>
at::Tensor AtenOps::upload(const char* name, const Values& values, at::ScalarType type) {
  const auto count = static_cast<int64_t>(values.size());
  at::Tensor there = arena_.get(name, {count}, type, 0);
  there.copy_(at::from_blob(const_cast<void*>(static_cast<const void*>(values.data())), {count}, type));
  return there;
}

void AtenOps::begin(const BatchView& view) {
  const int64_t tokens = view.batch->tokenCount();
  kept_.clear();
  starts_ = view.batch->cuSeqlens;
  const Budget budget = budgetOf(*view.batch);
  longest_ = budget.longest;
  row_ = upload("row", view.places->row, at::kInt);
  position_ = upload("position", view.places->position, at::kInt);
  std::vector<int32_t> padded = starts_;
  padded.resize(budget.rows + 1, starts_.back());
  cuSeqlens_ = upload("cuSeqlens", padded, at::kInt);
  stepKey_ = upload("stepKey", std::array{cuda::dropoutStepKey(view.dropout.seed, view.dropout.step)}, at::kLong);
  cos_ = arena_.get("cos", {tokens, view.cos.size(1)}, at::kFloat, 0);
  sin_ = arena_.get("sin", {tokens, view.sin.size(1)}, at::kFloat, 0);
  at::index_select_out(cos_, view.cos, 0, position_);
  at::index_select_out(sin_, view.sin, 0, position_);
}

template <typename Visit>
void AtenOps::eachRow(Visit visit) const {
  for (size_t i = 0; i + 1 < starts_.size(); ++i) visit(starts_[i], starts_[i + 1] - starts_[i]);
}

std::array<at::Tensor, 3> AtenOps::parts(const at::Tensor& qkv) const {
  const at::Tensor heads = byHead(qkv);
  return {heads.narrow(1, 0, config_.heads), heads.narrow(1, config_.heads, config_.kvHeads),
          heads.narrow(1, config_.heads + config_.kvHeads, config_.kvHeads)};
}

void AtenOps::norm(at::Tensor y, at::Tensor inverse, const at::Tensor& x, const at::Tensor& weight) {
  const at::Tensor r = inverseRms(x, config_.rmsNormEps);
  inverse.copy_(r.squeeze(-1));
  y.copy_(normed(x, r, weight));
}

void AtenOps::normBackward(at::Tensor dx, const at::Tensor& dy, const at::Tensor& x, const at::Tensor& inverse,
                           const at::Tensor& weight) {
  dx.copy_(wide(dx) + normGradient(dy, x, inverse.unsqueeze(-1), weight));
}

void AtenOps::headNorm(at::Tensor out, at::Tensor inverse, const at::Tensor& qkv, const at::Tensor& qWeight,
                       const at::Tensor& kWeight) {
  const auto from = parts(qkv);
  auto to = parts(out);
  const at::Tensor weights[] = {qWeight, kWeight};
  for (int i = 0; i < 2; ++i) {
    const at::Tensor r = inverseRms(from[i], config_.rmsNormEps);
    inverse.narrow(1, i == 0 ? 0 : config_.heads, from[i].size(1)).copy_(r.squeeze(-1));
    to[i].copy_(normed(from[i], r, weights[i]));
  }
  to[2].copy_(from[2]);
}

void AtenOps::headNormBackward(at::Tensor dqkv, const at::Tensor& qkv, const at::Tensor& inverse,
                               const at::Tensor& qWeight, const at::Tensor& kWeight) {
  const auto x = parts(qkv);
  auto d = parts(dqkv);
  const at::Tensor weights[] = {qWeight, kWeight};
  for (int i = 0; i < 2; ++i) {
    const at::Tensor r = inverse.narrow(1, i == 0 ? 0 : config_.heads, x[i].size(1)).unsqueeze(-1);
    d[i].copy_(normGradient(d[i], x[i], r, weights[i]));
  }
}

void AtenOps::splitHeads(const at::Tensor& qkv, at::Tensor q, at::Tensor k, at::Tensor v) {
  const auto [fromQ, fromK, fromV] = parts(qkv);
  const at::Tensor cos = cos_.unsqueeze(1), sin = sin_.unsqueeze(1);
  byHead(q).copy_(rotate(fromQ, cos, sin));
  byHead(k).copy_(rotate(fromK, cos, sin));
  byHead(v).copy_(fromV);
}

void AtenOps::joinHeads(const at::Tensor& dq, const at::Tensor& dk, const at::Tensor& dv, at::Tensor dqkv) {
  auto [toQ, toK, toV] = parts(dqkv);
  const at::Tensor cos = cos_.unsqueeze(1), back = -sin_.unsqueeze(1);
  toQ.copy_(rotate(byHead(dq), cos, back));
  toK.copy_(rotate(byHead(dk), cos, back));
  toV.copy_(byHead(dv));
}

namespace {

// Flash attention counts the keys before the query's own.
std::optional<int64_t> keysBefore(int64_t window) {
  return window > 0 ? std::optional<int64_t>(window - 1) : std::nullopt;
}
std::optional<int64_t> keysAfter(int64_t window) { return window > 0 ? std::optional<int64_t>(0) : std::nullopt; }

}  // namespace

void AtenOps::attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, at::Tensor out,
                        at::Tensor logSumExp) {
  const int64_t window = config_.slidingWindow;
  const at::Tensor queries = byHead(q), keys = byHead(k), values = byHead(v);
  if (flash_) {
    const auto [attended, normalizer, random, unused, debug] = at::_flash_attention_forward(
        queries, keys, values, cuSeqlens_, cuSeqlens_, longest_, longest_, /*dropout_p=*/0.0, /*is_causal=*/true,
        /*return_debug_mask=*/false, /*scale=*/std::optional<double>(), keysBefore(window), keysAfter(window));
    byHead(out).copy_(attended);
    kept_[logSumExp.const_data_ptr()] = {normalizer, random, unused};
    return;
  }
  at::Tensor normalizer = logSumExp.view({q.size(0), config_.heads});
  eachRow([&](int64_t first, int64_t count) {
    const auto row = [&](const at::Tensor& x) { return x.narrow(0, first, count); };
    sequenceAttention(row(queries), row(keys), row(values), window, row(byHead(out)), row(normalizer));
  });
}

void AtenOps::attentionBackward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& out,
                                const at::Tensor& logSumExp, const at::Tensor& dOut, at::Tensor dq, at::Tensor dk,
                                at::Tensor dv) {
  const int64_t window = config_.slidingWindow;
  const at::Tensor queries = byHead(q), keys = byHead(k), values = byHead(v), grads = byHead(dOut);
  if (flash_) {
    const Flash& kept = kept_.at(logSumExp.const_data_ptr());
    const auto [gradQ, gradK, gradV] = at::_flash_attention_backward(
        grads, queries, keys, values, byHead(out), kept.logSumExp, cuSeqlens_, cuSeqlens_, longest_, longest_,
        /*dropout_p=*/0.0, /*is_causal=*/true, kept.random, kept.unused, /*scale=*/std::nullopt, keysBefore(window),
        keysAfter(window));
    byHead(dq).copy_(gradQ);
    byHead(dk).copy_(gradK);
    byHead(dv).copy_(gradV);
    return;
  }
  const at::Tensor normalizer = logSumExp.view({q.size(0), config_.heads});
  eachRow([&](int64_t first, int64_t count) {
    const auto row = [&](const at::Tensor& x) { return x.narrow(0, first, count); };
    sequenceAttentionBackward(row(queries), row(keys), row(values), window, row(byHead(out)), row(normalizer),
                              row(grads), row(byHead(dq)), row(byHead(dk)), row(byHead(dv)));
  });
}

void AtenOps::gate(at::Tensor inside, const at::Tensor& gateUp) {
  const int64_t inner = inside.size(1);
  at::mul_out(inside, at::silu(gateUp.narrow(1, 0, inner)), gateUp.narrow(1, inner, inner));
}

void AtenOps::gateBackward(at::Tensor gateUp, const at::Tensor& dInside) {
  const int64_t inner = dInside.size(1);
  at::Tensor gate = gateUp.narrow(1, 0, inner), up = gateUp.narrow(1, inner, inner);
  const at::Tensor g = wide(gate), d = wide(dInside), sigmoid = at::sigmoid(g);
  const at::Tensor dGate = d * wide(up) * sigmoid * (1 + g * (1 - sigmoid));
  up.copy_(d * g * sigmoid);
  gate.copy_(dGate);
}

void AtenOps::dropoutMask(at::Tensor mask, int64_t index, double p) {
  const int64_t tokens = mask.size(0), width = mask.size(1), pairs = (width + 1) / 2;
  const cuda::DropoutCut cut = cuda::dropoutCut(p);
  const auto low = [](const at::Tensor& x) { return x.bitwise_and(kLow); };
  const at::Tensor key = mixed(mixed(stepKey_ ^ index));
  const at::Tensor token = mixed(mixed(key ^ low(row_.to(at::kLong))) ^ low(position_.to(at::kLong)));
  const at::Tensor feature = at::arange(0, 2 * pairs, 2, stepKey_.options());
  const at::Tensor bits = mixed(token.unsqueeze(1) + feature);
  const at::Tensor draws = at::stack({low(bits), shiftedRight(bits, 32)}, -1).view({tokens, 2 * pairs});
  mask.fill_(cut.keep).masked_fill_(draws.narrow(1, 0, width) < static_cast<int64_t>(cut.threshold), 0.0);
}

std::unique_ptr<LayerOps> makeAtenOps(const ModelConfig& config, at::ScalarType dtype, at::Device device) {
  return std::make_unique<AtenOps>(config, dtype, device, flashServes(config, dtype, device));
}

}  // namespace bt
