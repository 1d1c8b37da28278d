#include "kernels/logits.h"

#include <type_traits>

#include "kernels/element.h"
#include "kernels/logits_avx512.h"
#include "kernels/parallel.h"

namespace bt {

namespace {

// Rows that share a pass over the weights.
constexpr int64_t blockRows = 4;

// Where fewer rows are left, the last one stands for those that are missing: every sum is taken by the same code.
template <typename T>
BT_INLINE void logitsOf(const T* hidden, const T* weight, float* out, int64_t rows, int64_t begin, int64_t end,
                        int64_t width, int64_t outWidth) {
  for (int64_t v = begin; v < end; ++v) {
    const T* w = weight + v * width;
    for (int64_t r = 0; r < rows; r += blockRows) {
      const T* h[blockRows];
      for (int64_t i = 0; i < blockRows; ++i) h[i] = hidden + std::min(r + i, rows - 1) * width;
      float a = 0, b = 0, c = 0, d = 0;
#pragma omp simd reduction(+ : a, b, c, d)
      for (int64_t i = 0; i < width; ++i) {
        const float factor = widen(w[i]);
        a += widen(h[0][i]) * factor;
        b += widen(h[1][i]) * factor;
        c += widen(h[2][i]) * factor;
        d += widen(h[3][i]) * factor;
      }
      const float sums[blockRows] = {a, b, c, d};
      for (int64_t i = 0; i < blockRows && r + i < rows; ++i) out[(r + i) * outWidth + v] = sums[i];
    }
  }
}

#define BT_RANGES(T)                                                                                         \
  BT_DISPATCH void logitsRange(const T* h, const T* w, float* out, int64_t rows, int64_t begin, int64_t end, \
                               int64_t width, int64_t outWidth) {                                            \
    logitsOf(h, w, out, rows, begin, end, width, outWidth);                                                  \
  }
BT_RANGES(float)
BT_RANGES(Bf16)
BT_RANGES(Fp16)

bool hasBf16Products() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512bf16");
}

}  // namespace

template <typename T>
void logits(const T* hidden, const T* weight, float* out, int64_t rows, int64_t vocab, int64_t width) {
  if constexpr (std::is_same_v<T, Bf16>) {
    static const bool wide = hasBf16Products();
    if (wide) {
      parallelRows(vocab, [=](int64_t begin, int64_t end) {
        avx512::bf16Logits(&hidden->bits, &weight->bits, out, rows, begin, end, width, vocab);
      });
      return;
    }
  }
  parallelRows(vocab,
               [=](int64_t begin, int64_t end) { logitsRange(hidden, weight, out, rows, begin, end, width, vocab); });
}

template <typename T>
void logitsNaive(const T* hidden, const T* weight, float* out, int64_t rows, int64_t vocab, int64_t width) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t v = 0; v < vocab; ++v) {
      double sum = 0;
      for (int64_t i = 0; i < width; ++i) {
        sum += static_cast<double>(widen(hidden[r * width + i])) * widen(weight[v * width + i]);
      }
      out[r * vocab + v] = static_cast<float>(sum);
    }
  }
}

#define BT_INSTANTIATE(T)                                                         \
  template void logits<T>(const T*, const T*, float*, int64_t, int64_t, int64_t); \
  template void logitsNaive<T>(const T*, const T*, float*, int64_t, int64_t, int64_t);
BT_INSTANTIATE(float)
BT_INSTANTIATE(Bf16)
BT_INSTANTIATE(Fp16)

}  // namespace bt
