// What the kernels' test program is made of: counted checks, random inputs, guarded outputs, packed sequences.
#pragma once
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/attention.h"
#include "kernels/blas.h"
#include "kernels/element.h"

namespace bt::testing {

// The parts of the program; each reports its checks.
void testElements();
void testRows();
void testProducts();
void testDropout();
void testAttention();
void testLinear();
void bench();
void benchLinear();

constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();

// ---- Counting checks

inline bool quick = false;  // fewer and smaller shapes
inline int passed = 0, failed = 0;

inline void report(const std::string& name, bool good, const std::string& detail) {
  std::printf("%s %s: %s\n", good ? "ok" : "FAILED", name.c_str(), detail.c_str());
  std::fflush(stdout);
  ++(good ? passed : failed);
}

template <typename... Values>
inline std::string text(const char* format, Values... values) {
  char line[256];
  std::snprintf(line, sizeof line, format, values...);
  return line;
}

// What an element may differ by: `ofLargest` times the largest expected magnitude, `ofItself` times its own, `always`.
struct Tolerance {
  double ofLargest, ofItself;
  double unequal = 1;  // share of the elements that may differ by more than ofLargest
  double always = 0;   // where the exact value is 0 by cancellation
  double whole = 1;    // length of the difference as one vector, relative to the expected one's
};

// One check over many shapes. Reports the worst difference as a share of what is allowed, or the first failure.
class Check {
 public:
  explicit Check(std::string name) : name_(std::move(name)) {}

  void require(bool good, const std::string& problem) {
    ++cases_;
    if (!good && problem_.empty()) problem_ = problem;
  }

  template <typename T>
  void near(const std::vector<T>& found, const std::vector<T>& expected, Tolerance allowed, const std::string& shape) {
    double largest = 0, apart = 0, length = 0;
    int64_t unequal = 0;
    for (T value : expected) largest = std::max(largest, std::abs(static_cast<double>(widen(value))));
    for (size_t i = 0; i < expected.size(); ++i) {
      const double is = widen(found[i]), should = widen(expected[i]);
      const double limit = allowed.ofLargest * largest + allowed.ofItself * std::abs(should) + allowed.always;
      apart += (is - should) * (is - should);
      length += should * should;
      if (is == should) continue;
      const double ratio = std::abs(is - should) / limit;
      unequal += std::abs(is - should) > allowed.ofLargest * largest;
      if (ratio <= 1) {
        worst_ = std::max(worst_, ratio);
      } else if (problem_.empty()) {
        problem_ = text("%s: element %zu of %zu is %.9g, not %.9g (largest %.3g)", shape.c_str(), i, expected.size(),
                        is, should, largest);
      }
    }
    if (std::sqrt(apart) > allowed.whole * std::sqrt(length) + allowed.always * std::sqrt(expected.size()) &&
        problem_.empty()) {
      problem_ = text("%s: all in all off by %.2e of their size", shape.c_str(), std::sqrt(apart / length));
    }
    const double share = expected.empty() ? 0 : static_cast<double>(unequal) / static_cast<double>(expected.size());
    // A few may always fall on the other side of a rounding step.
    if (unequal > 3 && share > allowed.unequal && problem_.empty()) {
      problem_ = text("%s: %.2f %% of the elements differ", shape.c_str(), share * 100);
    }
    ++cases_;
  }

  template <typename T>
  void same(const std::vector<T>& found, const std::vector<T>& expected, const std::string& shape) {
    const bool good = found.size() == expected.size() &&
                      (found.empty() || std::memcmp(found.data(), expected.data(), found.size() * sizeof(T)) == 0);
    require(good, shape + ": not the same bits");
  }

  void finish() const {
    report(name_, problem_.empty(),
           problem_.empty() ? text("%d cases, worst difference %.2f of what is allowed", cases_, worst_) : problem_);
  }

 private:
  std::string name_, problem_;
  int cases_ = 0;
  double worst_ = 0;
};

// ---- Random inputs and guarded outputs

inline std::mt19937_64 generator(20260);

inline int64_t draw(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(generator); }
template <typename Value>
Value pick(std::initializer_list<Value> from) {
  return from.begin()[draw(0, static_cast<int64_t>(from.size()) - 1)];
}

template <typename T>
std::vector<T> normal(int64_t count, float deviation = 1, float mean = 0) {
  std::normal_distribution<float> distribution(mean, deviation);
  std::vector<T> values(static_cast<size_t>(count));
  for (T& value : values) value = narrowTo<T>(distribution(generator));
  return values;
}

// An output, NaN at first, with NaNs behind it that must stay.
template <typename T>
class Output {
 public:
  explicit Output(int64_t count) : count_(static_cast<size_t>(count)), cells_(count_ + guards, narrowTo<T>(nan)) {}
  explicit Output(std::vector<T> values) : count_(values.size()), cells_(std::move(values)) {
    cells_.resize(count_ + guards, narrowTo<T>(nan));
  }
  operator T*() { return cells_.data(); }
  std::vector<T> values() const {
    for (size_t i = count_; i < cells_.size(); ++i) {
      if (!std::isnan(widen(cells_[i]))) throw std::runtime_error("a kernel wrote past the end of its output");
    }
    return {cells_.begin(), cells_.begin() + static_cast<ptrdiff_t>(count_)};
  }

 private:
  static constexpr size_t guards = 64;
  size_t count_;
  std::vector<T> cells_;
};

template <typename T>
constexpr const char* typeName = std::is_same_v<T, float>  ? "f32"
                                 : std::is_same_v<T, Bf16> ? "bf16"
                                                           : "f16";
template <typename T>
inline std::string named(const std::string& kernel) {
  return kernel + " " + typeName<T>;
}

// A step between neighbouring numbers is up to this share of them; for FP16 never less than `finest`.
template <typename T>
constexpr double step = std::is_same_v<T, float>  ? 0
                        : std::is_same_v<T, Bf16> ? 0x1p-7
                                                  : 0x1p-10;
template <typename T>
constexpr double finest = std::is_same_v<T, Fp16> ? 0x1p-24 : 0;
// For loops whose FP32 arithmetic differs from the plain version's in the last bits alone: with half precision that
// shows as a step in very few elements.
template <typename T>
constexpr Tolerance exactish = std::is_same_v<T, float>  ? Tolerance{2e-6, 2e-6}
                               : std::is_same_v<T, Bf16> ? Tolerance{1e-6, step<T>, 0.002}
                                                         : Tolerance{1e-6, step<T>, 0.01, finest<T>};

// Runs `work` with 1 and with 3 threads; every result must have the same bits.
template <typename Work>
void sameForAnyThreads(Check& check, const std::string& shape, Work work) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  const auto alone = work();
  omp_set_num_threads(3);
  const auto together = work();
  omp_set_num_threads(before);
  check.same(together, alone, shape + ", 3 threads and 1");
}

template <typename T>
inline double inner(const std::vector<T>& a, const std::vector<T>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(widen(a[i])) * widen(b[i]);
  return sum;
}

// Holds `gradient` of loss(x) at x to the central difference along a random direction.
inline void derivative(Check& check, const std::vector<float>& x, const std::vector<float>& gradient,
                       const std::string& shape, const std::function<double(const std::vector<float>&)>& loss) {
  const float h = 0.01f;
  const std::vector<float> direction = normal<float>(static_cast<int64_t>(x.size()));
  std::vector<float> there(x), back(x);
  for (size_t i = 0; i < x.size(); ++i) {
    there[i] += h * direction[i];
    back[i] -= h * direction[i];
  }
  const double slope = (loss(there) - loss(back)) / (2 * h), along = inner(gradient, direction);
  check.require(std::abs(slope - along) <= 2e-3 * std::sqrt(inner(gradient, gradient)) + 1e-3,
                text("%s: the slope is %.6g, the gradient says %.6g", shape.c_str(), slope, along));
}

inline int shapes() { return quick ? 12 : 40; }

// ---- Products

// The three layouts of kernels/blas.h: whether A and B are stored transposed.
struct Layout {
  const char* name;
  bool transA, transB;
};
constexpr Layout layouts[] = {{"NT", false, true}, {"NN", false, false}, {"TN", true, false}};

template <typename T>
void product(Layout layout, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb,
             float beta, float* c, int64_t ldc) {
  if (layout.transA) {
    gemmTN(m, n, k, a, lda, b, ldb, beta, c, ldc);
  } else if (layout.transB) {
    gemmNT(m, n, k, a, lda, b, ldb, beta, c, ldc);
  } else {
    gemmNN(m, n, k, a, lda, b, ldb, beta, c, ldc);
  }
}

template <typename T>
void productPlain(Layout layout, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb,
                  float beta, float* c, int64_t ldc) {
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = beta == 0 ? 0 : static_cast<double>(beta) * c[i * ldc + j];
      for (int64_t l = 0; l < k; ++l) {
        sum += static_cast<double>(widen(layout.transA ? a[l * lda + i] : a[i * lda + l])) *
               widen(layout.transB ? b[j * ldb + l] : b[l * ldb + j]);
      }
      c[i * ldc + j] = static_cast<float>(sum);
    }
  }
}

// ---- Packed sequences

// Packed sequences with q, k, v laid out as attention.h says, and a gradient of the output.
template <typename T>
struct Packed {
  std::vector<int32_t> starts;
  int64_t heads, kvHeads, headDim, window, prefix = 0;
  std::vector<T> q, k, v, dOut;

  Packed(const std::vector<int64_t>& lengths, int64_t heads, int64_t kvHeads, int64_t headDim, int64_t window,
         float scale)
      : starts{0}, heads(heads), kvHeads(kvHeads), headDim(headDim), window(window) {
    for (int64_t length : lengths) starts.push_back(starts.back() + static_cast<int32_t>(length));
    q = normal<T>(queries(), scale);
    k = normal<T>(keys());
    v = normal<T>(keys());
    dOut = normal<T>(queries());
  }

  // A random one of about `tokens` tokens; now and then with an empty sequence.
  static Packed random(int64_t tokens) {
    std::vector<int64_t> lengths;
    while (tokens > 0) {
      const int64_t wanted = pick<int64_t>({1, 2, draw(3, 126), 127, 128, 129, draw(130, 299), 300});
      lengths.push_back(std::min(tokens, wanted));
      tokens -= lengths.back();
      if (draw(0, 5) == 0) lengths.push_back(0);
    }
    const auto [heads, kvHeads] = pick<std::pair<int64_t, int64_t>>({{9, 3}, {4, 1}, {2, 2}, {1, 1}});
    const int64_t headDim = quick ? pick<int64_t>({8, 32, 64}) : pick<int64_t>({8, 16, 64, 128});
    Packed result(lengths, heads, kvHeads, headDim, pick<int64_t>({0, 0, 0, 1, 2, 5, 64, 127, 128, 200, 1000}),
                  pick({0.5f, 1.0f, 4.0f}));
    if (lengths.size() > 1 && servesPrefix<T>(headDim) && draw(0, 1) == 0) result.prefix = draw(0, lengths[0]);
    return result;
  }

  int64_t tokens() const { return starts.back(); }
  int64_t sequences() const { return static_cast<int64_t>(starts.size()) - 1; }
  int64_t queries() const { return tokens() * heads * headDim; }
  int64_t keys() const { return tokens() * kvHeads * headDim; }
  AttentionShape shape() const { return {heads, kvHeads, headDim, window, starts.data(), sequences(), prefix}; }
  std::string name() const {
    std::string list;
    for (int64_t i = 0; i < sequences(); ++i) list += text(i > 0 ? "+%d" : "%d", starts[i + 1] - starts[i]);
    return text("%s tokens behind %ld, %ld/%ld heads of %ld, window %ld", list.c_str(), prefix, heads, kvHeads, headDim,
                window);
  }

  // Sequence i alone, with the same numbers.
  Packed alone(int64_t i) const {
    Packed one({starts[i + 1] - starts[i]}, heads, kvHeads, headDim, window, 1);
    const auto take = [&](std::vector<T>& to, const std::vector<T>& from, int64_t width) {
      std::copy_n(from.begin() + starts[i] * width, to.size(), to.begin());
    };
    take(one.q, q, heads * headDim);
    take(one.k, k, kvHeads * headDim);
    take(one.v, v, kvHeads * headDim);
    take(one.dOut, dOut, heads * headDim);
    return one;
  }
};

// Angles of rotary embedding for as many positions as the longest sequence has.
struct Rotary {
  std::vector<float> cos, sin;
  Rotary(int64_t positions, int64_t headDim) {
    for (int64_t p = 0; p < positions; ++p) {
      for (int64_t i = 0; i < headDim / 2; ++i) {
        const double angle = static_cast<double>(p) * std::pow(10000.0, -2.0 * static_cast<double>(i) / headDim);
        cos.push_back(static_cast<float>(std::cos(angle)));
        sin.push_back(static_cast<float>(std::sin(angle)));
      }
    }
  }
};

}  // namespace bt::testing
