// Causal attention over packed sequences, forward and backward, in blocks of queries that stay in the L2 cache. The
// probabilities are never stored: backward makes them again from the saved log-sum-exp.
#pragma once
#include <cstdint>

#include "kernels/element.h"

namespace bt {

struct AttentionShape {
  int64_t heads, kvHeads, headDim;
  int64_t window;            // keys this many or more positions back are not seen; 0: no limit
  const int32_t* cuSeqlens;  // (sequences + 1)
  int64_t sequences;
  int64_t prefix = 0;  // tokens at the beginning of the first sequence that stand before every later one, too

  // Keys that sequence i sees beside its own tokens.
  int64_t before(int64_t i) const { return i > 0 ? prefix : 0; }
  int64_t tokens() const { return cuSeqlens[sequences]; }
};

// Layouts. Sequence i of length S begins at token b = cuSeqlens[i]:
//   q, dq: (heads, S, headDim) at b heads headDim        k, v, dk, dv: (kvHeads, S, headDim) at b kvHeads headDim
//   out, dOut: (tokens, heads headDim)                   logSumExp: (heads, S) f32 at b heads
// A prefix needs servesPrefix(); what it gives to several sequences adds up in the gradients of its keys and values.
template <typename T>
bool servesPrefix(int64_t headDim);

template <typename T>
void attentionForward(const AttentionShape& shape, const T* q, const T* k, const T* v, T* out, float* logSumExp);
template <typename T>
void attentionForwardNaive(const AttentionShape& shape, const T* q, const T* k, const T* v, T* out, float* logSumExp);

template <typename T>
void attentionBackward(const AttentionShape& shape, const T* q, const T* k, const T* v, const T* out,
                       const float* logSumExp, const T* dOut, T* dq, T* dk, T* dv);
template <typename T>
void attentionBackwardNaive(const AttentionShape& shape, const T* q, const T* k, const T* v, const T* out,
                            const float* logSumExp, const T* dOut, T* dq, T* dk, T* dv);

}  // namespace bt
