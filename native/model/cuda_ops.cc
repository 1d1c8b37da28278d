// AtenOps with the single passes over activations done by libbt_cuda's kernels.
#include "model/aten_ops.h"
#include "model/cuda_call.h"
#include "model/cuda_devices.h"

namespace bt {

namespace {

void* ptr(const at::Tensor& tensor) { return tensor.mutable_data_ptr(); }
const void* in(const at::Tensor& tensor) { return tensor.const_data_ptr(); }
float* floats(const at::Tensor& tensor) { return tensor.mutable_data_ptr<float>(); }

class CudaOps : public AtenOps {
 public:
  CudaOps(const ModelConfig& config, at::ScalarType dtype, at::Device device, const BtCudaFunctions& cuda)
      : AtenOps(config, dtype, device, flashServes(config, dtype, device)),
        cuda_(cuda),
        type_(cudaType(dtype)),
        device_(device),
        eps_(static_cast<float>(config.rmsNormEps)) {}

  void norm(at::Tensor y, at::Tensor inverse, const at::Tensor& x, const at::Tensor& weight) override {
    check(
        cuda_.rmsNormForward(type_, ptr(y), floats(inverse), in(x), in(weight), x.size(0), x.size(1), eps_, stream()));
  }
  void normBackward(at::Tensor dx, const at::Tensor& dy, const at::Tensor& x, const at::Tensor& inverse,
                    const at::Tensor& weight) override {
    check(cuda_.rmsNormBackward(type_, ptr(dx), in(dy), in(x), floats(inverse), in(weight), x.size(0), x.size(1),
                                stream()));
  }

  void headNorm(at::Tensor out, at::Tensor inverse, const at::Tensor& qkv, const at::Tensor& qWeight,
                const at::Tensor& kWeight) override {
    const BtCudaHeads shape = heads(qkv);
    check(cuda_.headNormForward(type_, &shape, ptr(out), floats(inverse), in(qkv), in(qWeight), in(kWeight), eps_,
                                stream()));
  }
  void headNormBackward(at::Tensor dqkv, const at::Tensor& qkv, const at::Tensor& inverse, const at::Tensor& qWeight,
                        const at::Tensor& kWeight) override {
    const BtCudaHeads shape = heads(qkv);
    check(
        cuda_.headNormBackward(type_, &shape, ptr(dqkv), in(qkv), floats(inverse), in(qWeight), in(kWeight), stream()));
  }

  void splitHeads(const at::Tensor& qkv, at::Tensor q, at::Tensor k, at::Tensor v) override {
    const BtCudaHeads shape = heads(qkv);
    check(cuda_.splitHeads(type_, &shape, in(qkv), floats(cos_), floats(sin_), nullptr, ptr(q), ptr(k), ptr(v),
                           stream()));
  }
  void joinHeads(const at::Tensor& dq, const at::Tensor& dk, const at::Tensor& dv, at::Tensor dqkv) override {
    const BtCudaHeads shape = heads(dqkv);
    check(cuda_.joinHeads(type_, &shape, in(dq), in(dk), in(dv), floats(cos_), floats(sin_), nullptr, ptr(dqkv),
                          stream()));
  }

  void gate(at::Tensor inside, const at::Tensor& gateUp) override {
    check(cuda_.siluGateForward(type_, ptr(inside), in(gateUp), inside.size(0), inside.size(1), stream()));
  }
  void gateBackward(at::Tensor gateUp, const at::Tensor& dInside) override {
    check(cuda_.siluGateBackward(type_, ptr(gateUp), in(dInside), dInside.size(0), dInside.size(1), stream()));
  }

  void dropoutMask(at::Tensor mask, int64_t index, double p) override {
    check(cuda_.dropoutMask(floats(mask), mask.size(0), mask.size(1), row_.const_data_ptr<int32_t>(),
                            position_.const_data_ptr<int32_t>(), static_cast<const uint64_t*>(in(stepKey_)),
                            static_cast<uint64_t>(index), p, stream()));
  }

 private:
  void check(int error) const { checkCuda(cuda_, error); }
  void* stream() const { return cudaStream(cuda_, device_); }
  BtCudaHeads heads(const at::Tensor& qkv) const {
    return {qkv.size(0), config_.heads, config_.kvHeads, config_.headDim};
  }

  const BtCudaFunctions& cuda_;
  BtCudaType type_;
  at::Device device_;
  float eps_;
};

}  // namespace

bool flashServes(const ModelConfig& config, at::ScalarType dtype, at::Device device) {
  if (!device.is_cuda() || dtype == at::kFloat || config.headDim % 8 != 0 || config.headDim > 256) return false;
  const auto index = static_cast<size_t>(device.index());
  const std::vector<CudaDevice> devices = readCudaDevices(device.index() + 1);
  return index < devices.size() && std::stoi(devices[index].capability) >= 8;
}

std::unique_ptr<LayerOps> makeCudaOps(const ModelConfig& config, at::ScalarType dtype, at::Device device) {
  const BtCudaFunctions* functions = cudaLibrary().functions;
  if (functions == nullptr) return makeAtenOps(config, dtype, device);
  return std::make_unique<CudaOps>(config, dtype, device, *functions);
}

}  // namespace bt
