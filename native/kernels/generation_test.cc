// Holds the loops of generation to their plain versions, and to what the engine promises: what a row gets has the same
// bits whatever stands beside it, however its tokens are cut into passes, and with any number of threads. Usage:
// generation_test [--quick]    --quick: fewer shapes, for sanitized builds
#include "kernels/cached_attention.h"
#include "kernels/log_sum_exp.h"
#include "kernels/residual_norm.h"
#include "kernels/testing.h"

namespace bt::testing {

namespace {

struct Rotation {
  std::vector<float> cos, sin;

  Rotation(int64_t positions, int64_t headDim) {
    for (int64_t i = 0; i < positions * headDim / 2; ++i) {
      cos.push_back(std::cos(static_cast<float>(i) * 0.37f));
      sin.push_back(std::sin(static_cast<float>(i) * 0.37f));
    }
  }
};

// Sequences in a cache whose blocks lie in a mixed order among blocks of others.
template <typename T>
struct Cached {
  CacheShape shape;
  std::vector<int64_t> lengths;
  std::vector<std::vector<int32_t>> tables;
  std::vector<T> cache, qkv;
  Rotation rotation;

  Cached(CacheShape given, std::vector<int64_t> tokens)
      : shape(given),
        lengths(std::move(tokens)),
        rotation(*std::max_element(lengths.begin(), lengths.end()), given.headDim) {
    int64_t blocks = 0, total = 0;
    for (const int64_t length : lengths) blocks += (length + cacheBlock - 1) / cacheBlock, total += length;
    shape.stride = shape.blockElements() + 32;
    // NaN: what a block holds before it is written must not matter.
    cache.assign(static_cast<size_t>(2 * blocks * shape.stride), narrowTo<T>(nan));
    auto next = static_cast<int32_t>(2 * blocks - 1);
    for (const int64_t length : lengths) {
      std::vector<int32_t> table;
      for (int64_t b = 0; b < (length + cacheBlock - 1) / cacheBlock; ++b) {
        table.push_back(next);
        next -= 2;
      }
      tables.push_back(table);
    }
    qkv = normal<T>(total * width());
  }

  int64_t width() const { return (shape.heads + 2 * shape.kvHeads) * shape.headDim; }
  int64_t start(size_t sequence) const {
    int64_t row = 0;
    for (size_t i = 0; i < sequence; ++i) row += lengths[i];
    return row;
  }

  // All tokens of the chosen sequences, `atOnce` of each in a pass; rows of out by sequence.
  std::vector<T> attend(const std::vector<size_t>& chosen, int64_t atOnce, bool plain = false) {
    std::vector<T> all(static_cast<size_t>(start(lengths.size()) * shape.heads * shape.headDim));
    const int64_t row = shape.heads * shape.headDim;
    std::vector<T> memory(cache);
    for (int64_t done = 0;; done += atOnce) {
      std::vector<CacheSpan> spans;
      std::vector<T> inputs;
      int64_t rows = 0;
      std::vector<size_t> whose;
      for (const size_t s : chosen) {
        const int64_t count = std::min(atOnce, lengths[s] - done);
        if (count <= 0) continue;
        spans.push_back({tables[s].data(), done, count, rows});
        const auto from = qkv.begin() + (start(s) + done) * width();
        inputs.insert(inputs.end(), from, from + count * width());
        whose.push_back(s);
        rows += count;
      }
      if (spans.empty()) return all;
      Output<T> q(rows * row), out(rows * row);
      fillCache(shape, spans, inputs.data(), rotation.cos.data(), rotation.sin.data(), static_cast<T*>(q),
                memory.data());
      (plain ? cachedAttentionNaive<T> : cachedAttention<T>)(shape, spans, static_cast<T*>(q), memory.data(), out);
      const std::vector<T> values = out.values();
      for (size_t i = 0; i < spans.size(); ++i) {
        std::copy_n(values.begin() + spans[i].row * row, spans[i].count * row,
                    all.begin() + (start(whose[i]) + done) * row);
      }
    }
  }
};

template <typename T>
void testCachedOf() {
  Check near(named<T>("cached attention")), passes(named<T>("cached attention in other passes"));
  Check alone(named<T>("cached attention alone")), threads(named<T>("cached attention threads"));
  constexpr bool wide = std::is_same_v<T, float>;
  const Tolerance value = wide ? Tolerance{2e-5, 0} : Tolerance{step<T> / 2, step<T>, 1, finest<T>, step<T> / 2};
  for (int i = 0; i < (quick ? 6 : 20); ++i) {
    const int64_t group = pick<int64_t>({1, 3, 8}), kvHeads = pick<int64_t>({1, 2, 3});
    const int64_t headDim = pick<int64_t>({8, 16, 64, 80, 128}), window = pick<int64_t>({0, 0, 21, 5});
    const int64_t longest = quick ? 60 : 300;
    Cached<T> in({group * kvHeads, kvHeads, headDim, window, 0}, {longest, 1, 37, 16});
    const std::string name = text("heads %ld of %ld, %ld wide, window %ld", group * kvHeads, kvHeads, headDim, window);
    const std::vector<size_t> every = {0, 1, 2, 3};
    const std::vector<T> found = in.attend(every, longest);
    near.near(found, in.attend(every, longest, true), value, name);
    for (const int64_t atOnce : {1, 5, 16})
      passes.same(in.attend(every, atOnce), found, name + text(", %ld at once", atOnce));
    sameForAnyThreads(threads, name, [&] { return in.attend(every, longest); });
    for (const size_t s : every) {
      const int64_t row = in.shape.heads * headDim, begin = in.start(s) * row, end = begin + in.lengths[s] * row;
      const std::vector<T> one = in.attend({s}, longest);
      alone.same(std::vector<T>(one.begin() + begin, one.begin() + end),
                 std::vector<T>(found.begin() + begin, found.begin() + end), name + text(", sequence %ld", s));
    }
  }
  for (const Check& check : {near, passes, alone, threads}) check.finish();
}

template <typename T>
void testNormOf() {
  Check near(named<T>("residual norm")), rows(named<T>("residual norm beside other rows"));
  for (int i = 0; i < 12; ++i) {
    const int64_t count = pick<int64_t>({1, 3, 17}), width = pick<int64_t>({1, 31, 64, 576});
    const std::vector<float> x = normal<float>(count * width), delta = normal<float>(count * width);
    const std::vector<float> weight = normal<float>(width);
    const bool adds = i % 3 != 0;
    const auto run = [&](int64_t first, int64_t some, bool plain) {
      std::vector<float> stream(x.begin() + first * width, x.begin() + (first + some) * width);
      Output<T> y(some * width);
      const float* more = adds ? delta.data() + first * width : nullptr;
      (plain ? residualNormNaive<T> : residualNorm<T>)(stream.data(), more, weight.data(), y, some, width, 1e-5f);
      return y.values();
    };
    const std::string name = text("%ld x %ld", count, width);
    const std::vector<T> found = run(0, count, false);
    near.near(found, run(0, count, true), {1e-6, std::is_same_v<T, float> ? 1e-5 : step<T>}, name);
    for (int64_t r = 0; r < count; ++r) {
      rows.same(run(r, 1, false), std::vector<T>(found.begin() + r * width, found.begin() + (r + 1) * width), name);
    }
  }
  for (const Check& check : {near, rows}) check.finish();
}

void testLogSumExp() {
  Check near("log-sum-exp"), ends("log-sum-exp of what is not finite");
  for (const int64_t count : {1, 15, 16, 1023, 1024, 5000, 49152}) {
    std::vector<float> x = normal<float>(count);
    for (float& value : x) value = value * 9 + 20;
    const double found = logSumExp(x.data(), count), expected = logSumExpNaive(x.data(), count);
    near.require(std::abs(found - expected) < 2e-6 * std::abs(expected),
                 text("%ld: %g, not %g", count, found, expected));
    if (count > 1) {
      x[count / 2] = -infinity;
      ends.require(std::isfinite(logSumExp(x.data(), count)), "one that is banned breaks it");
    }
    x[count - 1] = nan;
    ends.require(std::isnan(logSumExp(x.data(), count)), "NaN is lost");
    x[count - 1] = infinity;
    ends.require(!std::isfinite(logSumExp(x.data(), count)), "infinity is lost");
  }
  const std::vector<float> none(20, -infinity);
  ends.require(std::isnan(logSumExp(none.data(), 20)), "nothing is taken for something");
  for (const Check& check : {near, ends}) check.finish();
}

}  // namespace

}  // namespace bt::testing

int main(int count, char** arguments) {
  using namespace bt::testing;
  quick = count > 1 && std::string(arguments[1]) == "--quick";
  testCachedOf<float>();
  testCachedOf<bt::Bf16>();
  testNormOf<float>();
  testNormOf<bt::Bf16>();
  testLogSumExp();
  std::printf("kernels: %d passed, %d failed\n", passed, failed);
  return failed > 0;
}
