// Causal attention of one sequence by matrix products, forward and backward, on any device: exact, in FP32 between its
// inputs and outputs. The scores exist for a block of queries at a time.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bt {

// q, out: [S, heads, headDim]   k, v: [S, kvHeads, headDim]   logSumExp: [S, heads] FP32
// window: keys this many or more positions back are not seen; 0: no limit.
void sequenceAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t window, at::Tensor out,
                       at::Tensor logSumExp);

// dOut, dq: as q; dk, dv: as k.
void sequenceAttentionBackward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t window,
                               const at::Tensor& out, const at::Tensor& logSumExp, const at::Tensor& dOut,
                               at::Tensor dq, at::Tensor dk, at::Tensor dv);

}  // namespace bt
