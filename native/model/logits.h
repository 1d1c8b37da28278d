// From final hidden states to logits.
#pragma once
#include <ATen/core/Tensor.h>

namespace bt {

// [rows, vocab] FP32 on the CPU. There they are not rounded to the model's type first, as a product in BF16 would: see
// kernels/logits.h. hidden: [rows, hidden]   head: [vocab, hidden], both in the model's dtype
at::Tensor logitsOf(const at::Tensor& hidden, const at::Tensor& head);

}  // namespace bt
