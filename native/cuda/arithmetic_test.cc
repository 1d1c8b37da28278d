// Holds the arithmetic of the CUDA kernels to the plain versions of native/kernels, on the CPU: every lane of a row in
// turn, with packs of elements and without, the shares put together as a warp or a block does. What this leaves to a
// GPU is which thread takes which share.
// Usage: arithmetic_test     Prints a line for each check, then "cuda arithmetic: N passed, N failed"; exit code 1 when
// one failed.
#include "cuda/arithmetic.h"

#include <array>
#include <numeric>

#include "kernels/dropout.h"
#include "kernels/gate.h"
#include "kernels/heads.h"
#include "kernels/norm.h"
#include "kernels/testing.h"

namespace bt::testing {

namespace {

using namespace bt::cuda;

template <typename T>
constexpr const char* elementName = std::is_same_v<T, float>  ? "f32"
                                    : std::is_same_v<T, Bf16> ? "bf16"
                                                              : "f16";
template <typename T>
std::string of(const char* what) {
  return std::string(what) + " " + elementName<T>;
}

// The distance of neighbouring numbers, relative to them at most; and of those near zero.
template <typename T>
constexpr double stepOf = std::is_same_v<T, float>  ? 0x1p-23
                          : std::is_same_v<T, Bf16> ? 0x1p-7
                                                    : 0x1p-10;
template <typename T>
constexpr double smallest = std::is_same_v<T, Fp16> ? 0x1p-24 : 1e-37;
// FP32 sums in another order; in half precision that shows as a step, or `steps` where a rounded number is multiplied,
// in few elements.
template <typename T>
Tolerance close(int steps) {
  if constexpr (std::is_same_v<T, float>) return {2e-6, 4e-6, 1, 1e-36};
  return {1e-6, steps * stepOf<T>, 0.01, steps * smallest<T>};
}

// What warpReduce does: each lane with the one `distance` away, of halving distance. Returns lane 0's.
template <typename Value, typename Merge>
Value butterfly(std::array<Value, kLanes> lanes, Merge merge) {
  for (int distance = kLanes / 2; distance > 0; distance /= 2) {
    const auto before = lanes;
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = merge(before[lane], before[lane ^ distance]);
  }
  return lanes[0];
}

template <typename Share>
float warpSum(Share share) {
  std::array<float, kLanes> lanes;
  for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = share(lane);
  return butterfly(lanes, [](float a, float b) { return a + b; });
}

// 16-byte aligned copies, as packs ask for.
template <typename T>
struct alignas(16) Block {
  T at[16 / sizeof(T)];
};
template <typename T>
class Aligned {
 public:
  explicit Aligned(const std::vector<T>& values)
      : count_(values.size()), blocks_(values.size() * sizeof(T) / 16 + 8, Block<T>{}) {
    std::copy(values.begin(), values.end(), data());
    for (size_t i = count_; i < blocks_.size() * (16 / sizeof(T)); ++i) data()[i] = narrowTo<T>(nan);
  }
  explicit Aligned(int64_t count) : Aligned(std::vector<T>(static_cast<size_t>(count), narrowTo<T>(nan))) {}
  T* data() { return blocks_.data()->at; }
  std::vector<T> values() {
    for (size_t i = count_; i < blocks_.size() * (16 / sizeof(T)); ++i) {
      if (!std::isnan(widen(data()[i]))) throw std::runtime_error("written past the end");
    }
    return {data(), data() + count_};
  }

 private:
  size_t count_;
  std::vector<Block<T>> blocks_;
};

template <typename T>
constexpr int most = 16 / sizeof(T);

// Calls work<V>() for packs and for single elements, where the width allows packs.
template <typename T, typename Work>
void eachWidth(int64_t width, Work work) {
  if (width % most<T> == 0) work.template operator()<most<T>>();
  work.template operator()<1>();
}

int64_t someWidth() { return pick<int64_t>({1, 3, 8, 31, 64, 255, 256, 264, 576, 2048}); }

template <typename T>
void testNorm() {
  Check forward(of<T>("norm forward")), backward(of<T>("norm backward"));
  for (int i = 0; i < 40; ++i) {
    const int64_t rows = draw(1, 9), width = someWidth(), count = rows * width;
    const float eps = pick({1e-5f, 1e-6f}), scale = pick({1.0f, 0.01f, 50.0f});
    Aligned<T> x(normal<T>(count, scale)), weight(normal<T>(width, 0.3f, 1)), dy(normal<T>(count));
    const std::vector<T> before = normal<T>(count);
    Output<T> plain(count), gradPlain(before);
    Output<float> inversePlain(rows);
    rmsNormForwardNaive<T>(plain, inversePlain, x.data(), weight.data(), rows, width, eps);
    rmsNormBackwardNaive<T>(gradPlain, dy.data(), x.data(), inversePlain, weight.data(), rows, width);
    eachWidth<T>(width, [&]<int V>() {
      const std::string shape = text("%ld rows of %ld, packs of %d", rows, width, V);
      Aligned<T> y(count), dx(before);
      std::vector<float> inverse(rows);
      for (int64_t row = 0; row < rows; ++row) {
        T *in = x.data() + row * width, *grad = dy.data() + row * width;
        inverse[row] = inverseRmsOf(warpSum([&](int lane) { return squareSum<V>(in, width, lane); }), width, eps);
        const float dot = warpSum([&](int lane) { return weightedDot<V>(grad, in, weight.data(), width, lane); });
        for (int lane = 0; lane < kLanes; ++lane) {
          writeNorm<V>(y.data() + row * width, in, weight.data(), inverse[row], width, lane);
          writeNormGradient<V, true>(dx.data() + row * width, grad, in, weight.data(), inverse[row], dot, width, lane);
        }
      }
      forward.near(y.values(), plain.values(), close<T>(2), shape);
      forward.near(inverse, inversePlain.values(), close<float>(1), shape + ", inverse rms");
      backward.near(dx.values(), gradPlain.values(), close<T>(1), shape);
    });
  }
  for (const Check& check : {forward, backward}) check.finish();
}

template <typename T>
void testGate() {
  Check forward(of<T>("gate forward")), backward(of<T>("gate backward"));
  for (int i = 0; i < 40; ++i) {
    const int64_t width = someWidth();
    const float scale = pick({1.0f, 4.0f, 60.0f});
    const std::vector<T> gateUp = normal<T>(2 * width, scale);
    Aligned<T> both(gateUp), dOut(normal<T>(width));
    Output<T> plain(width), gradPlain(gateUp);
    siluGateForwardNaive<T>(plain, gateUp.data(), 1, width);
    siluGateBackwardNaive<T>(gradPlain, dOut.data(), 1, width);
    eachWidth<T>(width, [&]<int V>() {
      const std::string shape = text("%ld, packs of %d", width, V);
      Aligned<T> out(width), grad(gateUp);
      for (int64_t at = 0; at < width; at += V) {
        gateForward<V>(out.data() + at, both.data() + at, both.data() + width + at);
        gateBackward<V>(grad.data() + at, grad.data() + width + at, dOut.data() + at);
      }
      forward.near(out.values(), plain.values(), close<T>(2), shape);
      backward.near(grad.values(), gradPlain.values(), close<T>(1), shape);
    });
  }
  for (const Check& check : {forward, backward}) check.finish();
}

// Sequences, and the tables and positions that go with them.
struct Sequences {
  std::vector<int32_t> starts{0}, positions;
  int64_t longest = 1;
  Sequences() {
    for (int64_t i = draw(1, 4); i > 0; --i) {
      const int64_t length = draw(0, 9);
      longest = std::max(longest, length);
      starts.push_back(starts.back() + static_cast<int32_t>(length));
      for (int32_t p = 0; p < length; ++p) positions.push_back(p);
    }
  }
  int64_t tokens() const { return starts.back(); }
};

// From head-major, sequence by sequence, to token-major.
template <typename T>
std::vector<T> tokenMajor(const std::vector<T>& from, const Sequences& sequences, int64_t heads, int64_t d) {
  std::vector<T> to(from.size());
  for (size_t s = 0; s + 1 < sequences.starts.size(); ++s) {
    const int64_t begin = sequences.starts[s], length = sequences.starts[s + 1] - begin;
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t t = 0; t < length; ++t) {
        std::copy_n(from.begin() + (begin * heads + h * length + t) * d, d, to.begin() + ((begin + t) * heads + h) * d);
      }
    }
  }
  return to;
}

template <typename T>
void testHeads() {
  Check split(of<T>("heads apart")), join(of<T>("heads together")), norm(of<T>("norm of heads"));
  Check normGradient(of<T>("norm of heads backward"));
  for (int i = 0; i < 40; ++i) {
    const Sequences sequences;
    const auto [heads, kvHeads] = pick<std::pair<int, int>>({{9, 3}, {4, 1}, {2, 2}, {1, 1}});
    const int d = pick<int>({2, 6, 8, 16, 64, 128});
    const HeadsShape shape{heads, kvHeads, d};
    const AttentionShape packed{
        heads, kvHeads, d, 0, sequences.starts.data(), static_cast<int64_t>(sequences.starts.size()) - 1};
    const int64_t tokens = sequences.tokens(), queries = tokens * heads * d, keys = tokens * kvHeads * d;
    Rotary rotary(sequences.longest, d);
    const std::vector<T> values = normal<T>(queries + 2 * keys), gradient = normal<T>(queries + 2 * keys);
    Aligned<T> qkv(values);
    Output<T> qPlain(queries), kPlain(keys), vPlain(keys), back(queries + 2 * keys);
    splitHeadsNaive<T>(packed, values.data(), rotary.cos.data(), rotary.sin.data(), qPlain, kPlain, vPlain);
    joinHeadsNaive<T>(packed, qPlain, kPlain, vPlain, rotary.cos.data(), rotary.sin.data(), back);
    const auto major = [&](const Output<T>& from, int64_t count) {
      return tokenMajor(from.values(), sequences, count, d);
    };
    eachWidth<T>(d / 2, [&]<int V>() {
      const std::string name = text("%ld tokens, %d/%d heads of %d, packs of %d", tokens, heads, kvHeads, d, V);
      Aligned<T> q(queries), k(keys), v(keys), joined(queries + 2 * keys);
      const auto eachPiece = [&](auto visit) {
        for (int64_t token = 0; token < tokens; ++token) {
          for (int piece = 0; piece < shape.pieces<V>(); ++piece) visit(token, sequences.positions[token], piece);
        }
      };
      const float *cos = rotary.cos.data(), *sin = rotary.sin.data();
      eachPiece([&](int64_t token, int64_t position, int piece) {
        moveHeadPiece<V, false>(shape, const_cast<const T*>(qkv.data()), cos, sin, q.data(), k.data(), v.data(), token,
                                position, piece);
      });
      const Tolerance allowed = close<T>(1);
      split.near(q.values(), major(qPlain, heads), allowed, name + ", q");
      split.near(k.values(), major(kPlain, kvHeads), allowed, name + ", k");
      split.same(v.values(), major(vPlain, kvHeads), name + ", v");
      eachPiece([&](int64_t token, int64_t position, int piece) {
        const T *dq = q.data(), *dk = k.data(), *dv = v.data();
        moveHeadPiece<V, true>(shape, joined.data(), cos, sin, dq, dk, dv, token, position, piece);
      });
      join.near(joined.values(), back.values(), close<T>(2), name);
    });

    const int64_t normed = heads + kvHeads;
    Aligned<T> qWeight(normal<T>(d, 0.3f, 1)), kWeight(normal<T>(d, 0.3f, 1));
    Output<T> normPlain(queries + 2 * keys), gradPlain(gradient);
    Output<float> inversePlain(tokens * normed);
    headNormForwardNaive<T>(packed, normPlain, inversePlain, values.data(), qWeight.data(), kWeight.data(), 1e-6f);
    headNormBackwardNaive<T>(packed, gradPlain, values.data(), inversePlain, qWeight.data(), kWeight.data());
    const std::vector<float> inverse = inversePlain.values();
    eachWidth<T>(d, [&]<int V>() {
      const std::string name = text("%ld tokens, %d/%d heads of %d, packs of %d", tokens, heads, kvHeads, d, V);
      Aligned<T> out(values), grad(gradient);
      for (int64_t row = 0; row < tokens * shape.all(); ++row) {
        const int64_t head = row % shape.all();
        if (head >= normed) continue;
        T *in = qkv.data() + row * d, *weight = head < heads ? qWeight.data() : kWeight.data();
        const float r = inverseRmsOf(warpSum([&](int lane) { return squareSum<V>(in, d, lane); }), d, 1e-6f);
        T* at = grad.data() + row * d;
        const float dot = warpSum([&](int lane) { return weightedDot<V>(at, in, weight, d, lane); });
        for (int lane = 0; lane < kLanes; ++lane) {
          writeNorm<V>(out.data() + row * d, in, weight, r, d, lane);
          const float given = inverse[row / shape.all() * normed + head];
          writeNormGradient<V, false>(at, at, in, weight, given, dot, d, lane);
        }
      }
      norm.near(out.values(), normPlain.values(), close<T>(2), name);
      normGradient.near(grad.values(), gradPlain.values(), close<T>(1), name);
    });
  }
  for (const Check& check : {split, join, norm, normGradient}) check.finish();
}

void testDropoutBits() {
  Check check("dropout, bit for bit");
  for (int i = 0; i < 40; ++i) {
    const int64_t tokens = draw(1, 20), width = pick<int64_t>({1, 2, 63, 64, 577});
    const auto seed = static_cast<uint64_t>(generator());
    const int64_t step = draw(0, 1000), index = draw(0, 200);
    const double p = pick({0.0, 0.05, 0.1, 0.5, 0.999});
    std::vector<int32_t> row(tokens), position(tokens);
    for (int32_t& value : row) value = static_cast<int32_t>(draw(-5, 1 << 30));
    std::iota(position.begin(), position.end(), 0);
    Output<float> expected(tokens * width), found(tokens * width);
    dropoutMask(expected, tokens, width, row.data(), position.data(),
                mixKey(seed, Purpose::dropout, static_cast<uint64_t>(step), static_cast<uint64_t>(index)), p);
    const uint64_t key = dropoutKey(dropoutStepKey(seed, step), static_cast<uint64_t>(index));
    for (int64_t t = 0; t < tokens; ++t) {
      const uint64_t tokenKey = dropoutTokenKey(key, row[t], position[t]);
      for (int64_t f = 0; f < width; f += 2) {
        const Pack<float, 2> pair = dropoutPair(tokenKey, f, dropoutCut(p));
        found[t * width + f] = pair.at[0];
        if (f + 1 < width) found[t * width + f + 1] = pair.at[1];
      }
    }
    check.same(found.values(), expected.values(), text("%ld tokens of %ld, p %g", tokens, width, p));
  }
  check.finish();
}

template <typename T>
void testCrossEntropy() {
  Check loss(of<T>("cross-entropy")), gradient(of<T>("cross-entropy's gradient"));
  constexpr int threads = 512, warps = threads / kLanes;
  for (int i = 0; i < 30; ++i) {
    const int64_t vocab = pick<int64_t>({1, 2, 31, 512, 4096, 5000});
    const int64_t target = draw(0, vocab - 1);
    const float spread = pick({1.0f, 10.0f, 100.0f}), shift = pick({0.0f, -200.0f, 300.0f}),
                scale = pick({1.0f, 0.02f});
    const std::vector<T> logits = normal<T>(vocab, spread, shift);
    double largest = -1e300, sum = 0;
    for (T x : logits) largest = std::max(largest, static_cast<double>(widen(x)));
    for (T x : logits) sum += std::exp(widen(x) - largest);
    const double normalizer = largest + std::log(sum);
    std::vector<T> expected(vocab);
    for (int64_t v = 0; v < vocab; ++v) {
      const double probability = std::exp(widen(logits[v]) - normalizer) - (v == target);
      expected[v] = narrowTo<T>(static_cast<float>(probability * scale));
    }
    eachWidth<T>(vocab, [&]<int V>() {
      const std::string shape = text("%ld words, packs of %d", vocab, V);
      Aligned<T> values(logits);
      LogSum all = emptyLogSum();
      for (int warp = 0; warp < warps; ++warp) {
        std::array<LogSum, kLanes> lanes;
        for (int lane = 0; lane < kLanes; ++lane) {
          lanes[lane] = logSumOf<V>(values.data(), vocab, warp * kLanes + lane, threads);
        }
        const LogSum ofWarp = butterfly(lanes, merged);
        all = warp == 0 ? ofWarp : merged(all, ofWarp);
      }
      const float found = normalizerOf(all);
      loss.require(std::abs(found - normalizer) <= 1e-5 + 2e-7 * std::abs(normalizer),
                   text("%s: %.9g, not %.9g", shape.c_str(), found, normalizer));
      for (int thread = 0; thread < threads; ++thread) {
        writeLogitGradient<V>(values.data(), vocab, target, found, scale, thread, threads);
      }
      // Exponentials of what is off by some units in the last place of the normalizer.
      const double off = 1e-5 + 4e-7 * std::abs(normalizer);
      gradient.near(values.values(), expected, {off, off + stepOf<T>, 1, smallest<T> + off * scale}, shape);
    });
  }
  const auto normalizerOfRow = [](std::vector<float> row) {
    return normalizerOf(logSumOf<1>(row.data(), static_cast<int64_t>(row.size()), 0, 1));
  };
  loss.require(std::isnan(normalizerOfRow({1, nan, 2})), "a NaN among the logits is lost");
  loss.require(!std::isfinite(normalizerOfRow({1, infinity, 2})), "an infinity among the logits is lost");
  loss.require(normalizerOfRow({-infinity, 3, -infinity}) == 3, "a logit of -infinity counts");
  for (const Check& check : {loss, gradient}) check.finish();
}

void testLossSum() {
  const std::vector<float> losses = normal<float>(1000, 3, 5);
  double expected = 0, found = 0;
  for (float value : losses) expected += value;
  for (int lane = 0; lane < 512; ++lane) found += lossShare(losses.data(), 1000, lane, 512);
  report("sum of losses", std::abs(found - expected) < 1e-9, text("%.12g and %.12g", found, expected));
}

template <typename T>
void testAll() {
  testNorm<T>();
  testGate<T>();
  testHeads<T>();
  testCrossEntropy<T>();
}

}  // namespace

}  // namespace bt::testing

int main() {
  using namespace bt::testing;
  testAll<float>();
  testAll<bt::Bf16>();
  testAll<bt::Fp16>();
  testDropoutBits();
  testLossSum();
  std::printf("cuda arithmetic: %d passed, %d failed\n", passed, failed);
  return failed > 0;
}
