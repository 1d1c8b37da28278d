#include "kernels/cached_attention.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>

#include "kernels/cached_attention_avx512.h"
#include "kernels/parallel.h"

namespace bt {

namespace {

// Queries of one key-value head that are attended together.
constexpr int64_t stripRows = avx512::cachedRows;

// ---- Into the cache

template <typename T>
BT_INLINE void rotateHead(const T* from, const float* cos, const float* sin, int64_t half, float* first,
                          float* second) {
#pragma omp simd
  for (int64_t i = 0; i < half; ++i) {
    const float a = widen(from[i]), b = widen(from[half + i]);
    first[i] = a * cos[i] - b * sin[i];
    second[i] = b * cos[i] + a * sin[i];
  }
}

// Tokens [begin, end) of a span, all in one block.
template <typename T>
BT_INLINE void fillTokens(const CacheShape& shape, const CacheSpan& span, int64_t begin, int64_t end, const T* qkv,
                          const float* cos, const float* sin, T* q, T* cache, float* wide) {
  constexpr int64_t depth = cacheDepth<T>;
  const int64_t d = shape.headDim, half = d / 2, width = (shape.heads + 2 * shape.kvHeads) * d;
  T* block = cache + span.blocks[(span.first + begin) / cacheBlock] * shape.stride;
  if ((span.first + begin) % cacheBlock == 0) {
    // Values under a probability of zero must be numbers all the same.
    std::fill(block, block + shape.blockElements(), narrowTo<T>(0.0f));
  }
  for (int64_t t = begin; t < end; ++t) {
    const int64_t position = span.first + t, lane = position % cacheBlock;
    const T* row = qkv + (span.row + t) * width;
    const float *c = cos + position * half, *s = sin + position * half;
    for (int64_t h = 0; h < shape.heads && t >= span.asked; ++h) {
      rotateHead(row + h * d, c, s, half, wide, wide + half);
      T* to = q + ((span.row + t) * shape.heads + h) * d;
      for (int64_t i = 0; i < d; ++i) to[i] = narrowTo<T>(wide[i]);
    }
    for (int64_t h = 0; h < shape.kvHeads; ++h) {
      T *keys = block + h * shape.headElements(), *values = keys + cacheBlock * d;
      rotateHead(row + (shape.heads + h) * d, c, s, half, wide, wide + half);
      for (int64_t i = 0; i < d; ++i) {
        keys[(i / depth * cacheBlock + lane) * depth + i % depth] = narrowTo<T>(wide[i]);
      }
      const T* from = row + (shape.heads + shape.kvHeads + h) * d;
      for (int64_t i = 0; i < d; ++i) values[(lane / depth * d + i) * depth + lane % depth] = from[i];
    }
  }
}

// ---- Portable attention: a strip of queries, one by one

template <typename T>
struct Query {
  const T* head;
  T* out;
  int64_t begin, end;  // keys that it sees
};

// scores: scratch of a float a key, in whole blocks
template <typename T>
BT_INLINE void attendQuery(const Query<T>& query, int64_t d, int64_t stride, const int32_t* table, const T* cache,
                           float* scores, float* sums) {
  constexpr int64_t depth = cacheDepth<T>;
  const int64_t from = query.begin / cacheBlock, to = (query.end + cacheBlock - 1) / cacheBlock;
  const float scale = 1.0f / std::sqrt(static_cast<float>(d));
  for (int64_t b = from; b < to; ++b) {
    const T* keys = cache + table[b] * stride;
    float lane[cacheBlock] = {};
    for (int64_t i = 0; i < d; i += depth) {
      for (int64_t n = 0; n < depth; ++n) {
        const float factor = widen(query.head[i + n]);
#pragma omp simd
        for (int64_t j = 0; j < cacheBlock; ++j) lane[j] += factor * widen(keys[i * cacheBlock + j * depth + n]);
      }
    }
    std::copy_n(lane, cacheBlock, scores + b * cacheBlock);
  }
  float highest = -std::numeric_limits<float>::infinity();
  for (int64_t j = query.begin; j < query.end; ++j) highest = scores[j] > highest ? scores[j] : highest;
  float lanes[cacheBlock] = {};
  for (int64_t b = from; b < to; ++b) {
    float* block = scores + b * cacheBlock;
#pragma omp simd
    for (int64_t j = 0; j < cacheBlock; ++j) {
      const int64_t key = b * cacheBlock + j;
      const float e = fastExp((block[j] - highest) * scale);
      block[j] = key >= query.begin && key < query.end ? e : 0.0f;
      lanes[j] += block[j];
    }
  }
  float total = 0;
  for (const float lane : lanes) total += lane;
  std::fill(sums, sums + d, 0.0f);
  for (int64_t b = from; b < to; ++b) {
    const T* values = cache + table[b] * stride + cacheBlock * d;
    for (int64_t j = 0; j < cacheBlock; ++j) {
      // Rounded as the products in T round their factors.
      const float p = widen(narrowTo<T>(scores[b * cacheBlock + j]));
#pragma omp simd
      for (int64_t i = 0; i < d; ++i) sums[i] += p * widen(values[(j / depth * d + i) * depth + j % depth]);
    }
  }
  const float inverse = 1.0f / total;
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) query.out[i] = narrowTo<T>(sums[i] * inverse);
}

#define BT_LOOPS(T)                                                                                               \
  BT_DISPATCH void fill(const CacheShape& shape, const CacheSpan& span, int64_t begin, int64_t end, const T* qkv, \
                        const float* cos, const float* sin, T* q, T* cache, float* wide) {                        \
    fillTokens(shape, span, begin, end, qkv, cos, sin, q, cache, wide);                                           \
  }                                                                                                               \
  BT_DISPATCH void attend(const Query<T>& query, int64_t d, int64_t stride, const int32_t* table, const T* cache, \
                          float* scores, float* sums) {                                                           \
    attendQuery(query, d, stride, table, cache, scores, sums);                                                    \
  }
BT_LOOPS(float)
BT_LOOPS(Bf16)

// ---- By cached_attention_avx512.cc

template <typename T>
using Wide = std::conditional_t<std::is_same_v<T, float>, float, uint16_t>;

// Asked here, where no instruction is one that the processor may lack.
template <typename T>
bool wideServes(int64_t headDim) {
  static const bool serves = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                             (std::is_same_v<T, float> || __builtin_cpu_supports("avx512bf16"));
  return serves && headDim % 16 == 0 && headDim <= 256;
}

// A thread's scratch, in whole cache lines: grown once, kept.
void* scratch(int64_t bytes) {
  struct Free {
    void operator()(std::byte* memory) const { ::operator delete(memory, std::align_val_t{64}); }
  };
  thread_local std::unique_ptr<std::byte, Free> memory;
  thread_local int64_t size = 0;
  if (bytes > size) {
    memory.reset();
    size = 0;  // should there be no memory
    memory.reset(static_cast<std::byte*>(::operator new(static_cast<size_t>(bytes), std::align_val_t{64})));
    size = bytes;
  }
  return memory.get();
}

// Queries [begin, end) of one key-value head of a span, counted token by token and head by head.
template <typename T>
void attendStrip(const CacheShape& shape, const CacheSpan& span, int64_t kvHead, int64_t begin, int64_t end, const T* q,
                 const T* cache, T* out) {
  const int64_t d = shape.headDim, group = shape.heads / shape.kvHeads;
  Query<T> queries[stripRows];
  const int64_t rows = end - begin;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t token = (begin + r) / group, head = kvHead * group + (begin + r) % group;
    const int64_t at = ((span.row + token) * shape.heads + head) * d, position = span.first + token;
    queries[r] = {q + at, out + at, shape.window > 0 ? std::max<int64_t>(0, position - shape.window + 1) : 0,
                  position + 1};
  }
  const T* head = cache + kvHead * shape.headElements();
  const int64_t firstBlock = queries[0].begin / cacheBlock;
  const int64_t blocks = (queries[rows - 1].end + cacheBlock - 1) / cacheBlock - firstBlock;
  if (wideServes<T>(d)) {
    using Element = Wide<T>;
    avx512::CachedQueries<Element> wide{rows, d, firstBlock, blocks, {}, {}, {}, {}};
    for (int64_t r = 0; r < rows; ++r) {
      wide.head[r] = reinterpret_cast<const Element*>(queries[r].head);
      wide.out[r] = reinterpret_cast<Element*>(queries[r].out);
      wide.begin[r] = queries[r].begin;
      wide.end[r] = queries[r].end;
    }
    avx512::attendCached(wide, reinterpret_cast<const Element*>(head), shape.stride, span.blocks,
                         scratch(avx512::cachedScratchBytes<Element>(blocks)));
    return;
  }
  float* scores = static_cast<float*>(scratch(((firstBlock + blocks) * cacheBlock + d) * 4));
  for (int64_t r = 0; r < rows; ++r) {
    attend(queries[r], d, shape.stride, span.blocks, head, scores, scores + (firstBlock + blocks) * cacheBlock);
  }
}

}  // namespace

template <typename T>
void fillCache(const CacheShape& shape, const std::vector<CacheSpan>& spans, const T* qkv, const float* cos,
               const float* sin, T* q, T* cache) {
  struct Task {
    const CacheSpan* span;
    int64_t begin, end;
  };
  std::vector<Task> tasks;
  for (const CacheSpan& span : spans) {
    for (int64_t begin = 0; begin < span.count;) {
      const int64_t end = std::min(span.count, begin + cacheBlock - (span.first + begin) % cacheBlock);
      tasks.push_back({&span, begin, end});
      begin = end;
    }
  }
  parallelTasks(static_cast<int64_t>(tasks.size()), [&](int64_t i) {
    const Task& task = tasks[i];
    auto* wide = static_cast<float*>(scratch(shape.headDim * static_cast<int64_t>(sizeof(float))));
    fill(shape, *task.span, task.begin, task.end, qkv, cos, sin, q, cache, wide);
  });
}

template <typename T>
void cachedAttention(const CacheShape& shape, const std::vector<CacheSpan>& spans, const T* q, const T* cache, T* out) {
  struct Task {
    const CacheSpan* span;
    int64_t kvHead, begin, end;
  };
  const int64_t group = shape.heads / shape.kvHeads;
  std::vector<Task> tasks;
  for (const CacheSpan& span : spans) {
    for (int64_t kvHead = 0; kvHead < shape.kvHeads; ++kvHead) {
      const int64_t last = span.count * group;
      for (int64_t begin = span.asked * group; begin < last; begin += stripRows) {
        tasks.push_back({&span, kvHead, begin, std::min(begin + stripRows, last)});
      }
    }
  }
  parallelTasks(static_cast<int64_t>(tasks.size()), [&](int64_t i) {
    const Task& task = tasks[i];
    attendStrip(shape, *task.span, task.kvHead, task.begin, task.end, q, cache, out);
  });
}

template <typename T>
void cachedAttentionNaive(const CacheShape& shape, const std::vector<CacheSpan>& spans, const T* q, const T* cache,
                          T* out) {
  constexpr int64_t depth = cacheDepth<T>;
  const int64_t d = shape.headDim, group = shape.heads / shape.kvHeads;
  for (const CacheSpan& span : spans) {
    for (int64_t t = span.asked; t < span.count; ++t) {
      for (int64_t head = 0; head < shape.heads; ++head) {
        const int64_t position = span.first + t, at = ((span.row + t) * shape.heads + head) * d;
        const int64_t begin = shape.window > 0 ? std::max<int64_t>(0, position - shape.window + 1) : 0;
        std::vector<double> sums(d, 0.0);
        double total = 0;
        for (int64_t key = begin; key <= position; ++key) {
          const T* keys = cache + span.blocks[key / cacheBlock] * shape.stride + head / group * shape.headElements();
          const T* values = keys + cacheBlock * d;
          const int64_t lane = key % cacheBlock;
          double score = 0;
          for (int64_t i = 0; i < d; ++i) {
            score += static_cast<double>(widen(q[at + i])) *
                     widen(keys[(i / depth * cacheBlock + lane) * depth + i % depth]);
          }
          const double p = std::exp(score / std::sqrt(static_cast<double>(d)));
          total += p;
          for (int64_t i = 0; i < d; ++i) sums[i] += p * widen(values[(lane / depth * d + i) * depth + lane % depth]);
        }
        for (int64_t i = 0; i < d; ++i) out[at + i] = narrowTo<T>(static_cast<float>(sums[i] / total));
      }
    }
  }
}

#define BT_INSTANTIATE(T)                                                                                            \
  template void fillCache<T>(const CacheShape&, const std::vector<CacheSpan>&, const T*, const float*, const float*, \
                             T*, T*);                                                                                \
  template void cachedAttention<T>(const CacheShape&, const std::vector<CacheSpan>&, const T*, const T*, T*);        \
  template void cachedAttentionNaive<T>(const CacheShape&, const std::vector<CacheSpan>&, const T*, const T*, T*);
BT_INSTANTIATE(float)
BT_INSTANTIATE(Bf16)

}  // namespace bt
