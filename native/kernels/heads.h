// Between the fused projection's rows (tokens, q | k | v) and attention's head-major layout, with rotary embedding on
// the way: one pass there, one pass back. Before it, where a model has that, the RMS norm of each head of q and k.
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

// Each head of q and k over its root mean square, times a weight; v is copied.
// qkv, out: (tokens, (heads + 2 kvHeads) headDim)   qWeight, kWeight: (headDim)   inverse: (tokens, heads + kvHeads)
// f32 Rounded as rmsNormForward rounds.
template <typename T>
void headNormForward(const AttentionShape& shape, T* out, float* inverse, const T* qkv, const T* qWeight,
                     const T* kWeight, float eps);
template <typename T>
void headNormForwardNaive(const AttentionShape& shape, T* out, float* inverse, const T* qkv, const T* qWeight,
                          const T* kWeight, float eps);

// dqkv, the gradient of `out`, becomes the gradient of qkv.
template <typename T>
void headNormBackward(const AttentionShape& shape, T* dqkv, const T* qkv, const float* inverse, const T* qWeight,
                      const T* kWeight);
template <typename T>
void headNormBackwardNaive(const AttentionShape& shape, T* dqkv, const T* qkv, const float* inverse, const T* qWeight,
                           const T* kWeight);

}  // namespace bt
