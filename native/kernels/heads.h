// Between the fused projection's rows (tokens, q | k | v) and attention's head-major layout, with rotary embedding on
// the way: one pass there, one pass back.
#pragma once
#include "kernels/attention.h"

namespace bt {

// cos, sin: (positions, headDim / 2) f32 of positions in a sequence.
// qkv: (tokens, (heads + 2 kvHeads) headDim)   q, k, v: laid out as attention.h says, q and k rotated
template <typename T>
void splitHeads(const AttentionShape& shape, const T* qkv, const float* cos, const float* sin, T* q, T* k, T* v);
template <typename T>
void splitHeadsNaive(const AttentionShape& shape, const T* qkv, const float* cos, const float* sin, T* q, T* k, T* v);

// The transpose of that map: gradients of q, k, v to the gradient of qkv.
template <typename T>
void joinHeads(const AttentionShape& shape, const T* dq, const T* dk, const T* dv, const float* cos, const float* sin,
               T* dqkv);
template <typename T>
void joinHeadsNaive(const AttentionShape& shape, const T* dq, const T* dk, const T* dv, const float* cos,
                    const float* sin, T* dqkv);

}  // namespace bt
