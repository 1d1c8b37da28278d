#include "model/logits.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>

#include "kernels/element.h"
#include "kernels/logits.h"

namespace bt {

namespace {

template <typename T>
at::Tensor wide(const at::Tensor& hidden, const at::Tensor& head) {
  at::Tensor out = at::empty({hidden.size(0), head.size(0)}, hidden.options().dtype(at::kFloat));
  logits(static_cast<const T*>(hidden.const_data_ptr()), static_cast<const T*>(head.const_data_ptr()),
         out.mutable_data_ptr<float>(), hidden.size(0), head.size(0), head.size(1));
  return out;
}

}  // namespace

at::Tensor logitsOf(const at::Tensor& hidden, const at::Tensor& head) {
  if (!hidden.is_cpu() || hidden.scalar_type() == at::kFloat) {
    return at::linear(hidden, head).to(at::kFloat).cpu().contiguous();
  }
  const bool isBf16 = head.scalar_type() == at::kBFloat16;
  return isBf16 ? wide<Bf16>(hidden.contiguous(), head) : wide<Fp16>(hidden.contiguous(), head);
}

}  // namespace bt
