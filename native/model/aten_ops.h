// LayerOps by ATen's operators alone: any device, FP32, BF16 and FP16. q, k and v are token-major, (tokens, heads,
// headDim). CudaOps derives from it.
#pragma once
#include <array>
#include <map>
#include <vector>

#include "model/arena.h"
#include "model/layer_ops.h"

namespace bt {

class AtenOps : public LayerOps {
 public:
  // flash: attention by libtorch's flash attention over packed sequences: GPUs from compute capability 8, FP16 and
  // BF16, heads of a multiple of 8. Else sequence by sequence.
  AtenOps(const ModelConfig& config, at::ScalarType dtype, at::Device device, bool flash);

  void begin(const BatchView& view) override;
  int64_t generation() const override { return flash_ ? arena_.generation() : -1; }
  void addBuffers(BufferBytes& bytes) const override { arena_.addTo(bytes); }
  void norm(at::Tensor y, at::Tensor inverse, const at::Tensor& x, const at::Tensor& weight) override;
  void normBackward(at::Tensor dx, const at::Tensor& dy, const at::Tensor& x, const at::Tensor& inverse,
                    const at::Tensor& weight) override;
  void headNorm(at::Tensor out, at::Tensor inverse, const at::Tensor& qkv, const at::Tensor& qWeight,
                const at::Tensor& kWeight) override;
  void headNormBackward(at::Tensor dqkv, const at::Tensor& qkv, const at::Tensor& inverse, const at::Tensor& qWeight,
                        const at::Tensor& kWeight) override;
  void splitHeads(const at::Tensor& qkv, at::Tensor q, at::Tensor k, at::Tensor v) override;
  void joinHeads(const at::Tensor& dq, const at::Tensor& dk, const at::Tensor& dv, at::Tensor dqkv) override;
  void attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, at::Tensor out,
                 at::Tensor logSumExp) override;
  void attentionBackward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& out,
                         const at::Tensor& logSumExp, const at::Tensor& dOut, at::Tensor dq, at::Tensor dk,
                         at::Tensor dv) override;
  void gate(at::Tensor inside, const at::Tensor& gateUp) override;
  void gateBackward(at::Tensor gateUp, const at::Tensor& dInside) override;
  void dropoutMask(at::Tensor mask, int64_t index, double p) override;

 protected:
  const ModelConfig& config_;

  // Of the batch, on the device. For batches of one size they lie where they lay before.
  at::Tensor cos_, sin_;       // [T, headDim / 2] FP32, of each token
  at::Tensor row_, position_;  // [T] int32
  at::Tensor stepKey_;         // [1] int64: what the masks of this step have in common

 private:
  template <typename Values>
  at::Tensor upload(const char* name, const Values& values, at::ScalarType type);
  // Calls visit(first token, tokens) for each row of the batch.
  template <typename Visit>
  void eachRow(Visit visit) const;
  at::Tensor byHead(const at::Tensor& x) const { return x.view({x.size(0), -1, config_.headDim}); }
  // The heads of q and of k in rows of the projection, [T, heads or kvHeads, headDim], and v's.
  std::array<at::Tensor, 3> parts(const at::Tensor& qkv) const;

  // What flash attention gives its backward beside the output.
  struct Flash {
    at::Tensor logSumExp, random, unused;
  };

  bool flash_;
  Arena arena_;
  std::vector<int32_t> starts_;        // [n + 1]
  at::Tensor cuSeqlens_;               // [slots + 1] int32; rows past the last are empty
  int64_t longest_ = 0;                // a limit for the kernels
  std::map<const void*, Flash> kept_;  // by the memory of the caller's logSumExp
};

// Whether libtorch's flash attention takes this model on this device.
bool flashServes(const ModelConfig& config, at::ScalarType dtype, at::Device device);

}  // namespace bt
