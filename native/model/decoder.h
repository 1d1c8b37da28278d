// Pieces of the decoder layer in plain ATen, differentiable, as the reference has them. The caller holds an
// AutocastGuard.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

#include "model/lora.h"
#include "model/model.h"

namespace bt {

// x / rms(x) * weight over the last dimension, computed in FP32 and returned in x's dtype, as Hugging Face does.
at::Tensor rmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps);

// Rotate-half rotary embedding. x: [tokens, heads, headDim]; cos, sin: [tokens, 1, headDim / 2] FP32.
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

// What a target's input is multiplied by before A: an FP32 mask, or undefined for none.
using MaskFor = std::function<at::Tensor(Target)>;

// One layer's LoRA; `lora` may be null, and then add() does nothing.
struct LayerLora {
  const Lora* lora = nullptr;
  int64_t layer = 0;
  MaskFor mask;  // may be empty: no dropout

  // out + scale * (dropout(x) A^T) B^T for a target that is adapted; out itself for one that is not.
  at::Tensor add(const at::Tensor& out, Target target, const at::Tensor& x) const;
};

struct Heads {
  at::Tensor q;     // [tokens, heads, headDim], rotated
  at::Tensor k, v;  // [tokens, kvHeads, headDim], k rotated
};

// Normalised input [tokens, hidden] to rotated heads.
Heads project(const ModelConfig& config, const DecoderLayer& layer, const LayerLora& lora, const at::Tensor& x,
              const at::Tensor& cos, const at::Tensor& sin);

// Attention output [tokens, heads headDim] through o_proj.
at::Tensor attentionOut(const DecoderLayer& layer, const LayerLora& lora, const at::Tensor& attended);

// down(silu(gate(x)) * up(x)).   x: [tokens, hidden]
at::Tensor feedForward(const DecoderLayer& layer, const LayerLora& lora, const at::Tensor& x);

// Causal attention of one sequence. q: [queries, heads, headDim]; k, v: [keys, kvHeads, headDim], the queries being
// the last of the keys' positions. Returns [queries, heads headDim].
at::Tensor attend(const ModelConfig& config, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

}  // namespace bt
