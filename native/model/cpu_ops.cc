#include "kernels/attention.h"
#include "kernels/dropout.h"
#include "kernels/gate.h"
#include "kernels/heads.h"
#include "kernels/norm.h"
#include "model/error.h"
#include "model/layer_ops.h"

namespace bt {

namespace {

template <typename T>
T* ptr(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

template <typename T>
class CpuOps : public LayerOps {
 public:
  explicit CpuOps(const ModelConfig& config) : config_(config), eps_(static_cast<float>(config.rmsNormEps)) {}

  bool servesPrefix() const override { return bt::servesPrefix<T>(config_.headDim); }

  void begin(const BatchView& view) override {
    view_ = view;
    shape_ = {
        config_.heads,          config_.kvHeads, config_.headDim, config_.slidingWindow, view.batch->cuSeqlens.data(),
        view.batch->rowCount(), view.prefix};
  }

  void norm(at::Tensor y, at::Tensor inverse, const at::Tensor& x, const at::Tensor& weight) override {
    rmsNormForward(ptr<T>(y), ptr<float>(inverse), ptr<T>(x), ptr<T>(weight), x.size(0), x.size(1), eps_);
  }
  void normBackward(at::Tensor dx, const at::Tensor& dy, const at::Tensor& x, const at::Tensor& inverse,
                    const at::Tensor& weight) override {
    rmsNormBackward(ptr<T>(dx), ptr<T>(dy), ptr<T>(x), ptr<float>(inverse), ptr<T>(weight), x.size(0), x.size(1));
  }

  void headNorm(at::Tensor out, at::Tensor inverse, const at::Tensor& qkv, const at::Tensor& qWeight,
                const at::Tensor& kWeight) override {
    headNormForward(shape_, ptr<T>(out), ptr<float>(inverse), ptr<T>(qkv), ptr<T>(qWeight), ptr<T>(kWeight), eps_);
  }
  void headNormBackward(at::Tensor dqkv, const at::Tensor& qkv, const at::Tensor& inverse, const at::Tensor& qWeight,
                        const at::Tensor& kWeight) override {
    bt::headNormBackward(shape_, ptr<T>(dqkv), ptr<T>(qkv), ptr<float>(inverse), ptr<T>(qWeight), ptr<T>(kWeight));
  }

  void splitHeads(const at::Tensor& qkv, at::Tensor q, at::Tensor k, at::Tensor v) override {
    bt::splitHeads(shape_, ptr<T>(qkv), ptr<float>(view_.cos), ptr<float>(view_.sin), ptr<T>(q), ptr<T>(k), ptr<T>(v));
  }
  void joinHeads(const at::Tensor& dq, const at::Tensor& dk, const at::Tensor& dv, at::Tensor dqkv) override {
    bt::joinHeads(shape_, ptr<T>(dq), ptr<T>(dk), ptr<T>(dv), ptr<float>(view_.cos), ptr<float>(view_.sin),
                  ptr<T>(dqkv));
  }

  void attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, at::Tensor out,
                 at::Tensor logSumExp) override {
    attentionForward(shape_, ptr<T>(q), ptr<T>(k), ptr<T>(v), ptr<T>(out), ptr<float>(logSumExp));
  }
  void attentionBackward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& out,
                         const at::Tensor& logSumExp, const at::Tensor& dOut, at::Tensor dq, at::Tensor dk,
                         at::Tensor dv) override {
    bt::attentionBackward(shape_, ptr<T>(q), ptr<T>(k), ptr<T>(v), ptr<T>(out), ptr<float>(logSumExp), ptr<T>(dOut),
                          ptr<T>(dq), ptr<T>(dk), ptr<T>(dv));
  }

  void gate(at::Tensor inside, const at::Tensor& gateUp) override {
    siluGateForward(ptr<T>(inside), ptr<T>(gateUp), inside.size(0), inside.size(1));
  }
  void gateBackward(at::Tensor gateUp, const at::Tensor& dInside) override {
    siluGateBackward(ptr<T>(gateUp), ptr<T>(dInside), dInside.size(0), dInside.size(1));
  }

  void dropoutMask(at::Tensor mask, int64_t index, double p) override {
    bt::dropoutMask(ptr<float>(mask), mask.size(0), mask.size(1), view_.places->row.data(),
                    view_.places->position.data(), dropoutStream(view_.dropout, index), p);
  }

 private:
  const ModelConfig& config_;
  float eps_;
  BatchView view_;
  AttentionShape shape_{};
};

}  // namespace

std::unique_ptr<LayerOps> makeCpuOps(const ModelConfig& config, at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat: return std::make_unique<CpuOps<float>>(config);
    case at::kBFloat16: return std::make_unique<CpuOps<Bf16>>(config);
    case at::kHalf: return std::make_unique<CpuOps<Fp16>>(config);
    default: throw Error("BT_ARGUMENT", "the fused layer computes in FP32, BF16 or FP16");
  }
}

}  // namespace bt
