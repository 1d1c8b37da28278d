// Causal attention of one head with AVX-512, and with its BF16 products where the processor has them: what attention.cc
// runs in place of MKL's products. Keys that a query does not see are skipped by strips of 6 queries or 16 columns.
// This header and its .cc keep to C and intrinsics: the file is compiled for a processor that this may not be, so
// nothing in it may be an inline function that the rest of the library shares.
#pragma once
#include <stdint.h>

namespace bt::avx512 {

// Heads are a multiple of 32 and at most 256 wide. AVX-512 F, BW, DQ and VL are needed, for BF16 AVX512_BF16 too.

// One sequence. T below: float, or uint16_t for the bits of BF16.
struct Sequence {
  int64_t length;  // queries
  int64_t prefix;  // keys that stand before the first query's own
  int64_t headDim;
  int64_t window;      // keys this many or more positions back are not seen; 0: no limit
  int64_t tokenWidth;  // elements from a token of out and dOut to the next
};

// Elements of T that packKeys() fills, and bytes of scratch that a call needs; both to be aligned to 64 bytes.
template <typename T>
int64_t packedElements(const Sequence& sequence);
template <typename T>
int64_t scratchBytes(const Sequence& sequence);

// Keys and values in the order in which forward() multiplies them.   k, v: (keys, headDim) of one key-value head
template <typename T>
void packKeys(const Sequence& sequence, const T* k, const T* v, T* packed);

// q: (length, headDim)   packed: of its key-value head   out: (length, headDim), tokenWidth apart   logSumExp: (length)
template <typename T>
void forward(const Sequence& sequence, const T* q, const T* packed, T* out, float* logSumExp, void* scratch);

// Where the gradients of keys or values go: the first `apart` keys to (apart, headDim) in FP32, the others in T.
template <typename T>
struct KeyGradients {
  int64_t apart;
  float *kApart, *vApart;
  T *k, *v;
};

// All `group` query heads of one key-value head.   q, dq: (group, length, headDim)   k, v: (keys, headDim)
// out, dOut: (length, group headDim), tokenWidth apart   logSumExp: (group, length)
template <typename T>
void backward(const Sequence& sequence, int64_t group, const T* q, const T* k, const T* v, const T* out,
              const float* logSumExp, const T* dOut, T* dq, const KeyGradients<T>& gradients, void* scratch);

}  // namespace bt::avx512
