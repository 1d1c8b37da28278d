// Attention of generation: new tokens of many sequences over keys and values that are kept in blocks of 16 tokens. What
// a token gets depends on the keys that it sees, in their order, and on nothing else: not on other sequences, on how
// many tokens come in one pass, or on the number of threads.
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/element.h"

namespace bt {

// Tokens of a block.
inline constexpr int64_t cacheBlock = 16;

// Values that one instruction of a product takes from neighbouring steps.
template <typename T>
inline constexpr int64_t cacheDepth = sizeof(T) == 2 ? 2 : 1;

struct CacheShape {
  int64_t heads, kvHeads, headDim;
  int64_t window;  // keys this many or more positions back are not seen; 0: no limit
  int64_t stride;  // elements from a block to the next

  // Elements of a block of one layer, and of one key-value head in it. There, keys are (headDim / depth, 16, depth),
  // and after them values (16 / depth, headDim, depth).
  int64_t headElements() const { return 2 * cacheBlock * headDim; }
  int64_t blockElements() const { return kvHeads * headElements(); }
};

// New tokens of one sequence, at positions [first, first + count). They are rows [row, row + count) of q, k, v and out.
struct CacheSpan {
  const int32_t* blocks;  // which block of the cache holds positions 16 i .. 16 i + 15
  int64_t first, count;
  int64_t row;
  int64_t asked = 0;  // queries before this one (of `count`) are left out: their keys and values are all that counts
};

// From a layer's projection to rotated queries and to the cache. A block is cleared when its first token is written.
// qkv: (rows, (heads + 2 kvHeads) headDim)   cos, sin: (positions, headDim / 2) f32   q: (rows, heads headDim)
// cache: of this layer, (blocks, blockElements), stride apart
template <typename T>
void fillCache(const CacheShape& shape, const std::vector<CacheSpan>& spans, const T* qkv, const float* cos,
               const float* sin, T* q, T* cache);

// out: (rows, heads headDim); rows of queries that are not asked for are left as they are.
template <typename T>
void cachedAttention(const CacheShape& shape, const std::vector<CacheSpan>& spans, const T* q, const T* cache, T* out);
template <typename T>
void cachedAttentionNaive(const CacheShape& shape, const std::vector<CacheSpan>& spans, const T* q, const T* cache,
                          T* out);

}  // namespace bt
