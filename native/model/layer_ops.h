// What stands between the large products of a decoder layer, on one device and in one element type: single passes over
// the activations. The fused engine says what is computed in which order; an implementation says how.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "model/arena.h"
#include "model/batch.h"
#include "model/config.h"
#include "model/places.h"
#include "model/reference.h"

namespace bt {

// The batch that the next calls are about. All that it points to outlives them.
struct BatchView {
  const PackedBatch* batch = nullptr;
  const Places* places = nullptr;
  int64_t prefix = 0;   // tokens of the first row that stand before every later one, see model/shared_prefix.h
  at::Tensor cos, sin;  // [longest row, headDim / 2] FP32
  DropoutKey dropout;
};

// Tensors are contiguous, in the model's dtype unless said otherwise, and made by the caller. rows: T, or S above the
// last attention. q, k and v [T, heads headDim] lie in an order of the implementation's own.
class LayerOps {
 public:
  virtual ~LayerOps() = default;

  // Whether batches may have a prefix.
  virtual bool servesPrefix() const { return false; }

  virtual void begin(const BatchView& view) = 0;

  // -1 where the calls after begin() may not be captured in a CUDA graph and replayed for another batch of the same
  // Budget, since they ask the host. Else a number that changes when memory has moved which such a graph would use.
  virtual int64_t generation() const { return -1; }
  // Adds the buffers that it keeps.
  virtual void addBuffers(BufferBytes&) const {}

  // y = x / rms(x) * weight.   x, y: [rows, hidden]   inverse: [rows] FP32, 1 / rms
  virtual void norm(at::Tensor y, at::Tensor inverse, const at::Tensor& x, const at::Tensor& weight) = 0;
  // dx += d loss / d x, given dy.
  virtual void normBackward(at::Tensor dx, const at::Tensor& dy, const at::Tensor& x, const at::Tensor& inverse,
                            const at::Tensor& weight) = 0;

  // The norm of each head of q and k (Qwen3); v is copied.   qkv, out: [T, q + 2 kv]   inverse: [T, heads + kvHeads]
  // FP32
  virtual void headNorm(at::Tensor out, at::Tensor inverse, const at::Tensor& qkv, const at::Tensor& qWeight,
                        const at::Tensor& kWeight) = 0;
  // dqkv, the gradient of `out`, becomes that of qkv.
  virtual void headNormBackward(at::Tensor dqkv, const at::Tensor& qkv, const at::Tensor& inverse,
                                const at::Tensor& qWeight, const at::Tensor& kWeight) = 0;

  // Rows of the projection to heads, with rotary embedding of q and k, and back.   qkv, dqkv: [T, q + 2 kv]
  virtual void splitHeads(const at::Tensor& qkv, at::Tensor q, at::Tensor k, at::Tensor v) = 0;
  virtual void joinHeads(const at::Tensor& dq, const at::Tensor& dk, const at::Tensor& dv, at::Tensor dqkv) = 0;

  // Causal attention, each row of the batch by itself.   out, dOut: [T, q], token by token   logSumExp: [T heads] FP32
  virtual void attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, at::Tensor out,
                         at::Tensor logSumExp) = 0;
  virtual void attentionBackward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& out,
                                 const at::Tensor& logSumExp, const at::Tensor& dOut, at::Tensor dq, at::Tensor dk,
                                 at::Tensor dv) = 0;

  // inside = silu(gate) * up.   gateUp: [rows, 2 inner], gate left of up   inside: [rows, inner]
  virtual void gate(at::Tensor inside, const at::Tensor& gateUp) = 0;
  // gateUp becomes its own gradient, given dInside.
  virtual void gateBackward(at::Tensor gateUp, const at::Tensor& dInside) = 0;

  // mask[t, f] = 0 or 1 / (1 - p), as kernels/dropout.h says, of the stream that dropoutStream() gives this index.
  // mask: [T, width] FP32
  virtual void dropoutMask(at::Tensor mask, int64_t index, double p) = 0;
};

// Over kernels/, for a CPU. dtype: FP32, BF16 or FP16.
std::unique_ptr<LayerOps> makeCpuOps(const ModelConfig& config, at::ScalarType dtype);
// By ATen's operators, for any device; FP32, BF16 or FP16.
std::unique_ptr<LayerOps> makeAtenOps(const ModelConfig& config, at::ScalarType dtype, at::Device device);
// For a GPU: by the kernels of libbt_cuda where that is there, else as makeAtenOps.
std::unique_ptr<LayerOps> makeCudaOps(const ModelConfig& config, at::ScalarType dtype, at::Device device);

}  // namespace bt
