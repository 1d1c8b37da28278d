#include "train/loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>

#include <numeric>

#include "kernels/cross_entropy.h"
#include "model/cuda_call.h"
#include "model/log_probs.h"

namespace bt {

namespace {

// Of logits at a time. A GPU has the memory, and wants large products.
int64_t chunkBytes(at::Device device) { return device.is_cpu() ? 32 << 20 : 512 << 20; }

template <typename T>
double entropyOf(at::Tensor& logits, const int32_t* targets, double gradScale) {
  std::vector<double> losses(logits.size(0));
  crossEntropy(static_cast<T*>(logits.mutable_data_ptr()), targets, losses.data(), logits.size(0), logits.size(1),
               static_cast<float>(gradScale));
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

// The summed loss of rows of logits, which become its gradient.
double entropy(at::Tensor& logits, const int32_t* targets, double gradScale) {
  if (logits.is_cpu()) {
    switch (logits.scalar_type()) {
      case at::kFloat: return entropyOf<float>(logits, targets, gradScale);
      case at::kBFloat16: return entropyOf<Bf16>(logits, targets, gradScale);
      default: return entropyOf<Fp16>(logits, targets, gradScale);
    }
  }
  at::Tensor wide = logits.to(at::kFloat);
  const at::Tensor target = targetColumn(targets, logits.size(0), logits);
  const at::Tensor normalizer = wide.logsumexp(1, true);
  const double lossSum = (normalizer - wide.gather(1, target)).sum(at::kDouble).item<double>();
  if (gradScale == 0) return lossSum;
  wide.sub_(normalizer).exp_();
  wide.scatter_add_(1, target, at::full(target.sizes(), -1.0, wide.options()));
  logits.copy_(wide.mul_(gradScale));
  return lossSum;
}

// As entropy() by libbt_cuda's kernel; lossSum is added to. Nobody waits for the device.
void entropyByKernel(const BtCudaFunctions& cuda, at::Tensor& logits, const int32_t* targets, at::Tensor ofRow,
                     at::Tensor lossSum, double gradScale) {
  const at::Tensor target = targetColumn(targets, logits.size(0), logits);
  checkCuda(cuda, cuda.crossEntropy(cudaType(logits.scalar_type()), logits.mutable_data_ptr(),
                                    target.const_data_ptr<int64_t>(), ofRow.mutable_data_ptr<float>(),
                                    lossSum.mutable_data_ptr<double>(), logits.size(0), logits.size(1),
                                    static_cast<float>(gradScale), cudaStream(cuda, logits.device())));
}

}  // namespace

CrossEntropy::CrossEntropy(const at::Tensor& head) : head_(head), arena_(head.scalar_type(), head.device()) {}

ScoredLoss CrossEntropy::operator()(const at::Tensor& hidden, const std::vector<int32_t>& targets, double gradScale) {
  const at::NoGradGuard noGrad;
  const BtCudaFunctions* cuda = hidden.is_cuda() ? cudaLibrary().functions : nullptr;
  at::Tensor lossSum;
  if (cuda != nullptr) lossSum = arena_.get("lossSum", {1}, at::kDouble, 0).zero_();
  ScoredLoss result;
  if (gradScale != 0) result.gradHidden = arena_.get("gradHidden", hidden.sizes());
  eachLogitChunk(hidden.size(0), head_, chunkBytes(head_.device()), [&](int64_t begin, int64_t rows) {
    at::Tensor logits = arena_.get("logits", {rows, head_.size(0)});
    at::mm_out(logits, hidden.narrow(0, begin, rows), head_.t());
    if (cuda != nullptr) {
      at::Tensor ofRow = arena_.get("ofRow", {rows}, at::kFloat, 0);
      entropyByKernel(*cuda, logits, targets.data() + begin, ofRow, lossSum, gradScale);
    } else {
      result.lossSum += entropy(logits, targets.data() + begin, gradScale);
    }
    if (gradScale == 0) return;
    at::Tensor into = result.gradHidden.narrow(0, begin, rows);
    at::mm_out(into, logits, head_);
  });
  if (cuda != nullptr) result.lossSum = lossSum.item<double>();
  return result;
}

}  // namespace bt
