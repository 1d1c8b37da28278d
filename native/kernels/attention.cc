#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "kernels/attention_avx512.h"
#include "kernels/blas.h"
#include "kernels/parallel.h"

namespace bt {

namespace {

constexpr int64_t blockQueries = 128;

// Which keys a block of queries [first, last) may see.
struct Block {
  int64_t first, last;     // queries
  int64_t keyBegin, keys;  // keys [keyBegin, keyBegin + keys)
  int64_t window;

  Block(int64_t first, int64_t last, int64_t window)
      : first(first),
        last(last),
        keyBegin(window > 0 ? std::max<int64_t>(0, first - window + 1) : 0),
        keys(last - keyBegin),
        window(window) {}
  int64_t rows() const { return last - first; }
  // Columns of row r that its query sees: [begin, end)
  int64_t begin(int64_t r) const { return window > 0 ? std::max<int64_t>(0, first + r - window + 1 - keyBegin) : 0; }
  int64_t end(int64_t r) const { return first + r + 1 - keyBegin; }
};

// A thread's scratch: grown once, kept.
template <typename T>
struct Scratch {
  std::vector<float> scores, gradScores, wide, wideK, wideV;
  std::vector<T> narrow, narrowGrad;
};
template <typename T>
Scratch<T>& scratch() {
  thread_local Scratch<T> mine;
  return mine;
}
template <typename Element>
Element* sized(std::vector<Element>& buffer, int64_t count) {
  if (static_cast<int64_t>(buffer.size()) < count) buffer.resize(count);
  return buffer.data();
}

template <typename T>
BT_INLINE void softmaxRow(T* p, float* s, int64_t begin, int64_t end, int64_t keys, float scale, float* logSumExp) {
  float highest = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : highest)
  for (int64_t j = begin; j < end; ++j) highest = s[j] > highest ? s[j] : highest;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = begin; j < end; ++j) {
    s[j] = fastExp((s[j] - highest) * scale);
    sum += s[j];
  }
  const float inverse = 1.0f / sum;
  for (int64_t j = 0; j < begin; ++j) p[j] = narrowTo<T>(0.0f);
#pragma omp simd
  for (int64_t j = begin; j < end; ++j) p[j] = narrowTo<T>(s[j] * inverse);
  for (int64_t j = end; j < keys; ++j) p[j] = narrowTo<T>(0.0f);
  *logSumExp = highest * scale + std::log(sum);
}

// p = exp(s scale - logSumExp); ds = p (dp - delta) scale; zero where not seen. s and dp may be p and ds.
template <typename T>
BT_INLINE void softmaxRowBackward(T* p, T* ds, const float* s, const float* dp, int64_t begin, int64_t end,
                                  int64_t keys, float scale, float logSumExp, float delta) {
  for (int64_t j = 0; j < begin; ++j) p[j] = ds[j] = narrowTo<T>(0.0f);
#pragma omp simd
  for (int64_t j = begin; j < end; ++j) {
    const float probability = fastExp(s[j] * scale - logSumExp);
    ds[j] = narrowTo<T>(probability * (dp[j] - delta) * scale);
    p[j] = narrowTo<T>(probability);
  }
  for (int64_t j = end; j < keys; ++j) p[j] = ds[j] = narrowTo<T>(0.0f);
}

template <typename T>
BT_INLINE float dot(const T* a, const T* b, int64_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) sum += widen(a[i]) * widen(b[i]);
  return sum;
}

template <typename T>
BT_INLINE void softmaxBlock(T* p, float* s, const Block& block, float scale, float* logSumExp) {
  for (int64_t r = 0; r < block.rows(); ++r) {
    softmaxRow(p + r * block.keys, s + r * block.keys, block.begin(r), block.end(r), block.keys, scale, logSumExp + r);
  }
}

template <typename T>
BT_INLINE void softmaxBlockBackward(T* p, T* ds, const float* s, const float* dp, const Block& block, float scale,
                                    const float* logSumExp, const T* out, const T* dOut, int64_t stride,
                                    int64_t headDim) {
  for (int64_t r = 0; r < block.rows(); ++r) {
    const float delta = dot(out + r * stride, dOut + r * stride, headDim);
    softmaxRowBackward(p + r * block.keys, ds + r * block.keys, s + r * block.keys, dp + r * block.keys, block.begin(r),
                       block.end(r), block.keys, scale, logSumExp[r], delta);
  }
}

#define BT_SOFTMAX(T)                                                                                             \
  BT_DISPATCH void softmax(T* p, float* s, const Block& block, float scale, float* logSumExp) {                   \
    softmaxBlock(p, s, block, scale, logSumExp);                                                                  \
  }                                                                                                               \
  BT_DISPATCH void softmaxBackward(T* p, T* ds, const float* s, const float* dp, const Block& block, float scale, \
                                   const float* logSumExp, const T* out, const T* dOut, int64_t stride,           \
                                   int64_t headDim) {                                                             \
    softmaxBlockBackward(p, ds, s, dp, block, scale, logSumExp, out, dOut, stride, headDim);                      \
  }
BT_SOFTMAX(float)
BT_SOFTMAX(Bf16)
BT_SOFTMAX(Fp16)

// Probabilities in T: the scores' own memory for FP32.
template <typename T>
T* inType(float* wide, std::vector<T>& buffer, int64_t count) {
  if constexpr (std::is_same_v<T, float>) {
    return wide;
  } else {
    return sized(buffer, count);
  }
}

template <typename T>
void store(T* to, int64_t stride, const float* from, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < width; ++i) to[r * stride + i] = narrowTo<T>(from[r * width + i]);
  }
}

template <typename T>
void forwardBlock(const AttentionShape& shape, int64_t sequence, int64_t head, const Block& block, const T* q,
                  const T* k, const T* v, T* out, float* logSumExp) {
  const int64_t begin = shape.cuSeqlens[sequence], length = shape.cuSeqlens[sequence + 1] - begin, d = shape.headDim;
  const int64_t kvHead = head / (shape.heads / shape.kvHeads), width = shape.heads * d;
  const T* query = q + (begin * shape.heads + head * length + block.first) * d;
  const int64_t keyOffset = (begin * shape.kvHeads + kvHead * length + block.keyBegin) * d;
  T* to = out + (begin + block.first) * width + head * d;
  Scratch<T>& mine = scratch<T>();
  const int64_t cells = block.rows() * block.keys;
  float* scores = sized(mine.scores, cells);
  T* probabilities = inType<T>(scores, mine.narrow, cells);
  gemmNT(block.rows(), block.keys, d, query, d, k + keyOffset, d, 0, scores, block.keys);
  softmax(probabilities, scores, block, 1.0f / std::sqrt(static_cast<float>(d)),
          logSumExp + begin * shape.heads + head * length + block.first);
  if constexpr (std::is_same_v<T, float>) {
    gemmNN(block.rows(), d, block.keys, probabilities, block.keys, v + keyOffset, d, 0, to, width);
  } else {
    float* wide = sized(mine.wide, block.rows() * d);
    gemmNN(block.rows(), d, block.keys, probabilities, block.keys, v + keyOffset, d, 0, wide, d);
    store(to, width, wide, block.rows(), d);
  }
}

// One key-value head of one sequence: all its query heads, so that dk and dv have one writer.
template <typename T>
void backwardHead(const AttentionShape& shape, int64_t sequence, int64_t kvHead, const T* q, const T* k, const T* v,
                  const T* out, const float* logSumExp, const T* dOut, T* dq, T* dk, T* dv) {
  const int64_t begin = shape.cuSeqlens[sequence], length = shape.cuSeqlens[sequence + 1] - begin, d = shape.headDim;
  const int64_t group = shape.heads / shape.kvHeads, width = shape.heads * d;
  const int64_t kvOffset = (begin * shape.kvHeads + kvHead * length) * d;
  const float scale = 1.0f / std::sqrt(static_cast<float>(d));
  Scratch<T>& mine = scratch<T>();
  constexpr bool wideType = std::is_same_v<T, float>;
  float *gradK, *gradV;
  if constexpr (wideType) {
    gradK = dk + kvOffset;
    gradV = dv + kvOffset;
  } else {
    gradK = sized(mine.wideK, length * d);
    gradV = sized(mine.wideV, length * d);
  }
  std::fill(gradK, gradK + length * d, 0.0f);
  std::fill(gradV, gradV + length * d, 0.0f);
  for (int64_t head = kvHead * group; head < (kvHead + 1) * group; ++head) {
    for (int64_t first = 0; first < length; first += blockQueries) {
      const Block block(first, std::min(first + blockQueries, length), shape.window);
      const int64_t rows = block.rows(), keys = block.keys, cells = rows * keys;
      const int64_t queryOffset = (begin * shape.heads + head * length + first) * d;
      const int64_t tokenOffset = (begin + first) * width + head * d, keyOffset = kvOffset + block.keyBegin * d;
      float *scores = sized(mine.scores, cells), *gradScores = sized(mine.gradScores, cells);
      T *p = inType<T>(scores, mine.narrow, cells), *ds = inType<T>(gradScores, mine.narrowGrad, cells);
      gemmNT(rows, keys, d, q + queryOffset, d, k + keyOffset, d, 0, scores, keys);
      gemmNT(rows, keys, d, dOut + tokenOffset, width, v + keyOffset, d, 0, gradScores, keys);
      softmaxBackward(p, ds, scores, gradScores, block, scale, logSumExp + begin * shape.heads + head * length + first,
                      out + tokenOffset, dOut + tokenOffset, width, d);
      if constexpr (wideType) {
        gemmNN(rows, d, keys, ds, keys, k + keyOffset, d, 0, dq + queryOffset, d);
      } else {
        float* wide = sized(mine.wide, rows * d);
        gemmNN(rows, d, keys, ds, keys, k + keyOffset, d, 0, wide, d);
        store(dq + queryOffset, d, wide, rows, d);
      }
      gemmTN(keys, d, rows, ds, keys, q + queryOffset, d, 1, gradK + block.keyBegin * d, d);
      gemmTN(keys, d, rows, p, keys, dOut + tokenOffset, width, 1, gradV + block.keyBegin * d, d);
    }
  }
  if constexpr (!wideType) {
    store(dk + kvOffset, d, gradK, length, d);
    store(dv + kvOffset, d, gradV, length, d);
  }
}

}  // namespace

// ---- By MKL's products, for any processor and head

namespace {

template <typename T>
void blockwiseForward(const AttentionShape& shape, const T* q, const T* k, const T* v, T* out, float* logSumExp) {
  struct Task {
    int64_t sequence, head, first;
  };
  std::vector<Task> tasks;
  for (int64_t s = 0; s < shape.sequences; ++s) {
    const int64_t length = shape.cuSeqlens[s + 1] - shape.cuSeqlens[s];
    for (int64_t head = 0; head < shape.heads; ++head) {
      for (int64_t first = 0; first < length; first += blockQueries) tasks.push_back({s, head, first});
    }
  }
  parallelTasks(static_cast<int64_t>(tasks.size()), [&](int64_t i) {
    const Task& task = tasks[i];
    const int64_t length = shape.cuSeqlens[task.sequence + 1] - shape.cuSeqlens[task.sequence];
    forwardBlock(shape, task.sequence, task.head,
                 Block(task.first, std::min(task.first + blockQueries, length), shape.window), q, k, v, out, logSumExp);
  });
}

template <typename T>
void blockwiseBackward(const AttentionShape& shape, const T* q, const T* k, const T* v, const T* out,
                       const float* logSumExp, const T* dOut, T* dq, T* dk, T* dv) {
  parallelTasks(shape.sequences * shape.kvHeads, [&](int64_t i) {
    backwardHead(shape, i / shape.kvHeads, i % shape.kvHeads, q, k, v, out, logSumExp, dOut, dq, dk, dv);
  });
}

void refusePrefix(const AttentionShape& shape) {
  if (shape.prefix > 0)
    throw std::invalid_argument("attention with a prefix is not computed for this head or processor");
}

// ---- By attention_avx512.cc

// Its element type for ours; void where it has none.
template <typename T>
using Wide =
    std::conditional_t<std::is_same_v<T, float>, float, std::conditional_t<std::is_same_v<T, Bf16>, uint16_t, void>>;

// Whether this processor runs attention_avx512.cc. BF16 is left to MKL where there is AMX. Asked here, where no
// instruction is one that it may lack.
bool hasAvx512(bool bf16) {
  const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return wide && (!bf16 || (__builtin_cpu_supports("avx512bf16") && !__builtin_cpu_supports("amx-bf16")));
}

template <typename T>
bool wideServes(const AttentionShape& shape) {
  if constexpr (std::is_void_v<Wide<T>>) {
    return false;
  } else {
    static const bool serves = hasAvx512(std::is_same_v<T, Bf16>);
    return serves && shape.headDim % 32 == 0 && shape.headDim <= 256;
  }
}

avx512::Sequence sequenceOf(const AttentionShape& shape, int64_t i) {
  return {shape.cuSeqlens[i + 1] - shape.cuSeqlens[i], shape.before(i), shape.headDim, shape.window,
          shape.heads * shape.headDim};
}

// Memory of a whole number of cache lines that begins at one: grown once, kept by its thread.
class Lines {
 public:
  void* get(int64_t bytes) {
    if (bytes > size_) {
      memory_.reset();
      size_ = 0;  // should there be no memory
      memory_.reset(static_cast<std::byte*>(::operator new(bytes, line)));
      size_ = bytes;
    }
    return memory_.get();
  }

 private:
  static constexpr std::align_val_t line{64};
  struct Free {
    void operator()(std::byte* memory) const { ::operator delete(memory, line); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  int64_t size_ = 0;
};

// Longest first, so that the threads end together.
std::vector<int64_t> byLength(const AttentionShape& shape) {
  std::vector<int64_t> order;
  for (int64_t i = 0; i < shape.sequences; ++i) {
    if (shape.cuSeqlens[i + 1] > shape.cuSeqlens[i]) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return sequenceOf(shape, a).length > sequenceOf(shape, b).length; });
  return order;
}

// A thread's memory for one purpose.
template <int purpose>
void* taskMemory(int64_t bytes) {
  thread_local Lines mine;
  return mine.get(bytes);
}

// Keys (or values) of sequence i for one key-value head: where they lie, or, behind a prefix, copied together.
template <typename Element, int purpose>
const Element* keysOf(const AttentionShape& shape, int64_t i, int64_t kvHead, const Element* k) {
  const int64_t d = shape.headDim, begin = shape.cuSeqlens[i], length = shape.cuSeqlens[i + 1] - begin;
  const Element* own = k + (begin * shape.kvHeads + kvHead * length) * d;
  if (shape.before(i) == 0) return own;
  auto* together = static_cast<Element*>(taskMemory<purpose>((shape.prefix + length) * d * sizeof(Element)));
  std::copy_n(k + kvHead * shape.cuSeqlens[1] * d, shape.prefix * d, together);
  std::copy_n(own, length * d, together + shape.prefix * d);
  return together;
}

template <typename T>
const Wide<T>* asWide(const T* pointer) {
  return reinterpret_cast<const Wide<T>*>(pointer);
}
template <typename T>
Wide<T>* asWide(T* pointer) {
  return reinterpret_cast<Wide<T>*>(pointer);
}

template <typename T>
void wideForward(const AttentionShape& shape, const T* q, const T* k, const T* v, T* out, float* logSumExp) {
  using Element = Wide<T>;
  const std::vector<int64_t> order = byLength(shape);
  const int64_t d = shape.headDim, sequences = static_cast<int64_t>(order.size());
  std::vector<int64_t> starts;  // of each sequence's packed key-value heads, in `order`
  int64_t total = 0;
  for (const int64_t i : order) {
    starts.push_back(total);
    total += avx512::packedElements<Element>(sequenceOf(shape, i)) * shape.kvHeads;
  }
  auto* packed = static_cast<Element*>(taskMemory<0>(total * static_cast<int64_t>(sizeof(Element))));
  const auto packedHead = [&, packed](int64_t i, int64_t kvHead) {
    return packed + starts[i] + kvHead * avx512::packedElements<Element>(sequenceOf(shape, order[i]));
  };
  parallelTasks(sequences * shape.kvHeads, [&](int64_t task) {
    const int64_t i = task / shape.kvHeads, kvHead = task % shape.kvHeads;
    avx512::packKeys(sequenceOf(shape, order[i]), keysOf<Element, 1>(shape, order[i], kvHead, asWide(k)),
                     keysOf<Element, 2>(shape, order[i], kvHead, asWide(v)), packedHead(i, kvHead));
  });
  parallelTasks(sequences * shape.heads, [&](int64_t task) {
    const int64_t i = task / shape.heads, head = task % shape.heads;
    const avx512::Sequence sequence = sequenceOf(shape, order[i]);
    const int64_t begin = shape.cuSeqlens[order[i]], place = begin * shape.heads + head * sequence.length;
    avx512::forward(sequence, asWide(q + place * d), packedHead(i, head / (shape.heads / shape.kvHeads)),
                    asWide(out + begin * sequence.tokenWidth + head * d), logSumExp + place,
                    taskMemory<3>(avx512::scratchBytes<Element>(sequence)));
  });
}

// Rows [0, prefix) of the first sequence: what each sequence's queries gave, added in the sequences' order.
template <typename T>
void addShares(const AttentionShape& shape, const std::vector<int64_t>& order, const float* shares, T* gradient) {
  const int64_t cells = shape.prefix * shape.headDim, perSequence = shape.kvHeads * cells;
  parallelTasks(shape.kvHeads, [&](int64_t kvHead) {
    T* to = gradient + kvHead * shape.cuSeqlens[1] * shape.headDim;
    for (int64_t cell = 0; cell < cells; ++cell) {
      float sum = 0;
      for (const int64_t i : order) sum += shares[i * perSequence + kvHead * cells + cell];
      to[cell] = narrowTo<T>(sum);
    }
  });
}

template <typename T>
void wideBackward(const AttentionShape& shape, const T* q, const T* k, const T* v, const T* out, const float* logSumExp,
                  const T* dOut, T* dq, T* dk, T* dv) {
  using Element = Wide<T>;
  const std::vector<int64_t> order = byLength(shape);
  const int64_t d = shape.headDim, group = shape.heads / shape.kvHeads, shareSize = shape.prefix * d;
  const int64_t sharesSize = shape.sequences * shape.kvHeads * shareSize;
  auto* kShares = static_cast<float*>(taskMemory<0>(2 * sharesSize * static_cast<int64_t>(sizeof(float))));
  float* vShares = kShares + sharesSize;
  parallelTasks(static_cast<int64_t>(order.size()) * shape.kvHeads, [&](int64_t task) {
    const int64_t i = order[task / shape.kvHeads], kvHead = task % shape.kvHeads, begin = shape.cuSeqlens[i];
    const avx512::Sequence sequence = sequenceOf(shape, i);
    const int64_t place = begin * shape.heads + kvHead * group * sequence.length;
    const int64_t token = begin * sequence.tokenWidth + kvHead * group * d;
    // The first sequence's own rows of the prefix are not in its dk and dv yet, either.
    const int64_t keys = (begin * shape.kvHeads + kvHead * sequence.length + shape.prefix - sequence.prefix) * d;
    const int64_t share = (i * shape.kvHeads + kvHead) * shareSize;
    avx512::backward(sequence, group, asWide(q + place * d), keysOf<Element, 1>(shape, i, kvHead, asWide(k)),
                     keysOf<Element, 2>(shape, i, kvHead, asWide(v)), asWide(out + token), logSumExp + place,
                     asWide(dOut + token), asWide(dq + place * d),
                     {shape.prefix, kShares + share, vShares + share, asWide(dk + keys), asWide(dv + keys)},
                     taskMemory<3>(avx512::scratchBytes<Element>(sequence)));
  });
  if (shape.prefix == 0) return;
  std::vector<int64_t> inOrder = order;
  std::sort(inOrder.begin(), inOrder.end());
  addShares(shape, inOrder, kShares, dk);
  addShares(shape, inOrder, vShares, dv);
}

}  // namespace

template <typename T>
bool servesPrefix(int64_t headDim) {
  AttentionShape shape{};
  shape.headDim = headDim;
  return wideServes<T>(shape);
}

template <typename T>
void attentionForward(const AttentionShape& shape, const T* q, const T* k, const T* v, T* out, float* logSumExp) {
  if constexpr (!std::is_void_v<Wide<T>>) {
    if (wideServes<T>(shape)) return wideForward(shape, q, k, v, out, logSumExp);
  }
  refusePrefix(shape);
  blockwiseForward(shape, q, k, v, out, logSumExp);
}

template <typename T>
void attentionBackward(const AttentionShape& shape, const T* q, const T* k, const T* v, const T* out,
                       const float* logSumExp, const T* dOut, T* dq, T* dk, T* dv) {
  if constexpr (!std::is_void_v<Wide<T>>) {
    if (wideServes<T>(shape)) return wideBackward(shape, q, k, v, out, logSumExp, dOut, dq, dk, dv);
  }
  refusePrefix(shape);
  blockwiseBackward(shape, q, k, v, out, logSumExp, dOut, dq, dk, dv);
}

namespace {

// Plain loops over one (sequence, head, query): calls visit with its places, where each key that it sees lies among k
// and v, and its probabilities of them.
template <typename T, typename Visit>
void eachQueryNaive(const AttentionShape& shape, const T* q, const T* k, Visit visit) {
  const int64_t d = shape.headDim, group = shape.heads / shape.kvHeads;
  for (int64_t s = 0; s < shape.sequences; ++s) {
    const int64_t begin = shape.cuSeqlens[s], length = shape.cuSeqlens[s + 1] - begin, before = shape.before(s);
    for (int64_t head = 0; head < shape.heads; ++head) {
      const int64_t kvHead = head / group;
      for (int64_t i = 0; i < length; ++i) {
        const int64_t place = begin * shape.heads + head * length + i, position = before + i;
        std::vector<int64_t> keys;
        for (int64_t j = shape.window > 0 ? std::max<int64_t>(0, position - shape.window + 1) : 0; j <= position; ++j) {
          keys.push_back(
              (j < before ? kvHead * shape.cuSeqlens[1] + j : begin * shape.kvHeads + kvHead * length + j - before) *
              d);
        }
        std::vector<double> p;
        double sum = 0;
        for (const int64_t key : keys) {
          double score = 0;
          for (int64_t c = 0; c < d; ++c) score += static_cast<double>(widen(q[place * d + c])) * widen(k[key + c]);
          p.push_back(std::exp(score / std::sqrt(static_cast<double>(d))));
          sum += p.back();
        }
        for (double& value : p) value /= sum;
        visit(place, (begin + i) * shape.heads * d + head * d, keys, p, std::log(sum));
      }
    }
  }
}

}  // namespace

template <typename T>
void attentionForwardNaive(const AttentionShape& shape, const T* q, const T* k, const T* v, T* out, float* logSumExp) {
  const int64_t d = shape.headDim;
  eachQueryNaive(shape, q, k,
                 [&](int64_t place, int64_t token, const std::vector<int64_t>& keys, const std::vector<double>& p,
                     double normalizer) {
                   for (int64_t c = 0; c < d; ++c) {
                     double sum = 0;
                     for (size_t j = 0; j < keys.size(); ++j) sum += p[j] * widen(v[keys[j] + c]);
                     out[token + c] = narrowTo<T>(static_cast<float>(sum));
                   }
                   logSumExp[place] = static_cast<float>(normalizer);
                 });
}

template <typename T>
void attentionBackwardNaive(const AttentionShape& shape, const T* q, const T* k, const T* v, const T*, const float*,
                            const T* dOut, T* dq, T* dk, T* dv) {
  const int64_t d = shape.headDim;
  const double scale = 1 / std::sqrt(static_cast<double>(d));
  std::vector<double> gradK(shape.tokens() * shape.kvHeads * d, 0.0), gradV(gradK);
  eachQueryNaive(
      shape, q, k,
      [&](int64_t place, int64_t token, const std::vector<int64_t>& keys, const std::vector<double>& p, double) {
        std::vector<double> dp(p.size(), 0.0), gradQ(d, 0.0);
        double delta = 0;
        for (size_t j = 0; j < keys.size(); ++j) {
          for (int64_t c = 0; c < d; ++c) {
            dp[j] += static_cast<double>(widen(dOut[token + c])) * widen(v[keys[j] + c]);
            gradV[keys[j] + c] += p[j] * widen(dOut[token + c]);
          }
          delta += p[j] * dp[j];
        }
        for (size_t j = 0; j < keys.size(); ++j) {
          const double ds = p[j] * (dp[j] - delta) * scale;
          for (int64_t c = 0; c < d; ++c) {
            gradQ[c] += ds * widen(k[keys[j] + c]);
            gradK[keys[j] + c] += ds * widen(q[place * d + c]);
          }
        }
        for (int64_t c = 0; c < d; ++c) dq[place * d + c] = narrowTo<T>(static_cast<float>(gradQ[c]));
      });
  for (size_t i = 0; i < gradK.size(); ++i) {
    dk[i] = narrowTo<T>(static_cast<float>(gradK[i]));
    dv[i] = narrowTo<T>(static_cast<float>(gradV[i]));
  }
}

#define BT_INSTANTIATE(T)                                                                                              \
  template bool servesPrefix<T>(int64_t);                                                                              \
  template void attentionForward<T>(const AttentionShape&, const T*, const T*, const T*, T*, float*);                  \
  template void attentionForwardNaive<T>(const AttentionShape&, const T*, const T*, const T*, T*, float*);             \
  template void attentionBackward<T>(const AttentionShape&, const T*, const T*, const T*, const T*, const float*,      \
                                     const T*, T*, T*, T*);                                                            \
  template void attentionBackwardNaive<T>(const AttentionShape&, const T*, const T*, const T*, const T*, const float*, \
                                          const T*, T*, T*, T*);
BT_INSTANTIATE(float)
BT_INSTANTIATE(Bf16)
BT_INSTANTIATE(Fp16)

}  // namespace bt
