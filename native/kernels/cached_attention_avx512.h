// Attention of a few queries over cached blocks with AVX-512, for cached_attention.cc. As attention_avx512.h, this
// keeps to C and intrinsics: the .cc is compiled for a processor that this may not be.
#pragma once
#include <stdint.h>

namespace bt::avx512 {

// Queries that one call takes at most.
constexpr int64_t cachedRows = 6;

// AVX-512 F, BW, DQ and VL are needed, for BF16 (T is uint16_t, its bits) AVX512_BF16 too. headDim is a multiple of 16.
template <typename T>
struct CachedQueries {
  int64_t rows;  // 1 .. cachedRows
  int64_t headDim;
  int64_t firstBlock, blocks;                  // blocks [firstBlock, firstBlock + blocks) hold every key that is seen
  const T* head[cachedRows];                   // queries, (headDim) each
  T* out[cachedRows];                          // (headDim) each
  int64_t begin[cachedRows], end[cachedRows];  // keys [begin, end) that each sees
};

// cache: block 0's keys and values of this key-value head; block i's lie stride[i] elements on.
// table: the sequence's blocks   scratch: cachedScratchBytes() bytes, aligned to 64
template <typename T>
int64_t cachedScratchBytes(int64_t blocks);
template <typename T>
void attendCached(const CachedQueries<T>& queries, const T* cache, int64_t stride, const int32_t* table, void* scratch);

}  // namespace bt::avx512
