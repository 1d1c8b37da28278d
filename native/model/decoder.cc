#include "model/decoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/zeros.h>

#include <cmath>

namespace bt {

at::Tensor rmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor scaled = wide * at::rsqrt(wide.square().mean(-1, true) + eps);
  return scaled.to(x.scalar_type()) * weight;
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const int64_t half = x.size(-1) / 2;
  const at::Tensor first = x.narrow(-1, 0, half), second = x.narrow(-1, half, half);
  return at::cat({first * cos - second * sin, second * cos + first * sin}, -1).to(x.scalar_type());
}

at::Tensor LayerLora::add(const at::Tensor& out, Target target, const at::Tensor& x) const {
  if (lora == nullptr) return out;
  const LoraPair& pair = lora->pair(layer, target);
  if (!pair.a.defined()) return out;
  const at::Tensor mask = this->mask ? this->mask(target) : at::Tensor();
  // In FP32, rounded once: 1 / (1 - p) has no exact half-precision value.
  const at::Tensor input = mask.defined() ? (x * mask).to(x.scalar_type()) : x;
  // Autocast brings the FP32 matrices to the activations' type where that is a half-precision one.
  return out + at::linear(at::linear(input, pair.a), pair.b) * lora->scale();
}

Heads project(const ModelConfig& config, const DecoderLayer& layer, const LayerLora& lora, const at::Tensor& x,
              const at::Tensor& cos, const at::Tensor& sin) {
  const int64_t q = config.qSize(), kv = config.kvSize(), tokens = x.size(0);
  const at::Tensor qkv = at::linear(x, layer.qkv, layer.qkvBias);
  at::Tensor query = lora.add(qkv.narrow(1, 0, q), Target::q, x).reshape({tokens, config.heads, config.headDim});
  at::Tensor key = lora.add(qkv.narrow(1, q, kv), Target::k, x).reshape({tokens, config.kvHeads, config.headDim});
  const at::Tensor value =
      lora.add(qkv.narrow(1, q + kv, kv), Target::v, x).reshape({tokens, config.kvHeads, config.headDim});
  if (config.qkNorm) {
    query = rmsNorm(query, layer.qNorm, config.rmsNormEps);
    key = rmsNorm(key, layer.kNorm, config.rmsNormEps);
  }
  return {rotate(query, cos, sin), rotate(key, cos, sin), value};
}

at::Tensor attentionOut(const DecoderLayer& layer, const LayerLora& lora, const at::Tensor& attended) {
  return lora.add(at::linear(attended, layer.out, layer.outBias), Target::o, attended);
}

at::Tensor feedForward(const DecoderLayer& layer, const LayerLora& lora, const at::Tensor& x) {
  const at::Tensor gateUp = at::linear(x, layer.gateUp, layer.gateUpBias);
  const int64_t inner = gateUp.size(1) / 2;
  const at::Tensor gate = lora.add(gateUp.narrow(1, 0, inner), Target::gate, x);
  const at::Tensor up = lora.add(gateUp.narrow(1, inner, inner), Target::up, x);
  const at::Tensor inside = at::silu(gate) * up;
  return lora.add(at::linear(inside, layer.down, layer.downBias), Target::down, inside);
}

namespace {

// [1, heads, tokens, headDim], a view.
at::Tensor headsFirst(const at::Tensor& x) { return x.transpose(0, 1).unsqueeze(0); }

// Additive mask [queries, keys]: 0 where a query may look, -inf where it may not (the future, and keys `window` or
// more positions back).
at::Tensor windowMask(int64_t queries, int64_t keys, int64_t window, const at::Tensor& like) {
  const auto options = at::TensorOptions().dtype(at::kLong).device(like.device());
  const at::Tensor query = at::arange(keys - queries, keys, options).unsqueeze(1);
  const at::Tensor key = at::arange(keys, options).unsqueeze(0);
  at::Tensor hidden = key > query;
  if (window > 0) hidden = hidden.logical_or(key <= query - window);
  return at::zeros({queries, keys}, like.options().requires_grad(false)).masked_fill_(hidden, -INFINITY);
}

}  // namespace

at::Tensor attend(const ModelConfig& config, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const int64_t queries = q.size(0), keys = k.size(0);
  if (queries == 1 && config.slidingWindow > 0 && keys > config.slidingWindow) {
    const int64_t from = keys - config.slidingWindow;
    return attend(config, q, k.narrow(0, from, config.slidingWindow), v.narrow(0, from, config.slidingWindow));
  }
  const bool windowed = config.slidingWindow > 0 && keys > config.slidingWindow;
  const bool causal = queries == keys && queries > 1 && !windowed;
  // One query at the end sees every key; several that are not all the keys, or a window, need a mask.
  const bool masked = windowed || (queries > 1 && queries != keys);
  const std::optional<at::Tensor> mask =
      masked ? std::optional<at::Tensor>(windowMask(queries, keys, config.slidingWindow, q)) : std::nullopt;
  at::Tensor out;
  if (q.device().is_cpu()) {
    // Takes grouped-query heads as they are, where the composite operator would repeat them.
    out = std::get<0>(at::_scaled_dot_product_flash_attention_for_cpu(headsFirst(q), headsFirst(k), headsFirst(v), 0.0,
                                                                      causal, mask));
  } else {
    out = at::scaled_dot_product_attention(headsFirst(q), headsFirst(k), headsFirst(v), mask, 0.0, causal, std::nullopt,
                                           /*enable_gqa=*/config.heads != config.kvHeads);
  }
  return out.squeeze(0).transpose(0, 1).reshape({queries, config.qSize()});
}

}  // namespace bt
