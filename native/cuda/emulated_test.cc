// Runs every kernel of native/cuda on the CPU (emulate.h) and holds it to the plain version in native/kernels: over
// random shapes, with packs of elements and, where pointers are not aligned, without, and with fewer blocks than there
// are rows. What this leaves to a GPU is what its compiler and hardware make of it.
// Usage: emulated_test [--races]     Prints a line for each check, then "cuda kernels: N passed, N failed"; exit code 1
// when one failed. --races: some shapes of the kernel whose threads share memory, for ThreadSanitizer, which is slow.
#include <numeric>

#include "cuda/arithmetic.h"
#include "cuda/kernels.h"
#include "kernels/cross_entropy.h"
#include "kernels/dropout.h"
#include "kernels/gate.h"
#include "kernels/heads.h"
#include "kernels/norm.h"
#include "kernels/testing.h"

namespace bt::testing {

namespace {

int shapesEach() { return quick ? 2 : 8; }

template <typename T>
constexpr int typeOf = std::is_same_v<T, float>  ? kBtCudaF32
                       : std::is_same_v<T, Bf16> ? kBtCudaBf16
                                                 : kBtCudaF16;
// FP32 sums in another order; in half precision that shows as a step, or `steps` where a rounded number is multiplied,
// in few elements.
template <typename T>
Tolerance close(int steps) {
  if constexpr (std::is_same_v<T, float>) return {2e-6, 4e-6, 1, 1e-36};
  return {1e-6, steps * step<T>, 0.01, steps * finest<T>};
}

// What a kernel reads or writes, at an address of 16 bytes' alignment or (apart) one element past it. NaNs stand
// around it.
template <typename T>
class Device {
 public:
  Device(const std::vector<T>& values, bool apart)
      : count_(values.size()), offset_(16 + apart), cells_(count_ + 32 + 16, narrowTo<T>(nan)) {
    std::copy(values.begin(), values.end(), begin());
  }
  Device(int64_t count, bool apart) : Device(std::vector<T>(static_cast<size_t>(count), narrowTo<T>(nan)), apart) {}
  operator T*() { return begin(); }
  std::vector<T> values() {
    for (T* cell = base(); cell < cells_.data() + cells_.size(); ++cell) {
      const bool inside = cell >= begin() && cell < begin() + count_;
      if (!inside && !std::isnan(widen(*cell))) throw std::runtime_error("a kernel wrote past its output");
    }
    return {begin(), begin() + count_};
  }

 private:
  // The first aligned cell.
  T* base() {
    const auto address = reinterpret_cast<uintptr_t>(cells_.data());
    return cells_.data() + (16 - address % 16) % 16 / sizeof(T);
  }
  T* begin() { return base() + offset_; }

  size_t count_, offset_;
  std::vector<T> cells_;
};

void succeed(int error) {
  if (error != 0) throw std::runtime_error(text("a kernel returned %d", error));
}

int64_t someWidth() { return pick<int64_t>({1, 3, 8, 31, 64, 255, 264, 576, 2048}); }

template <typename T>
void testNorm() {
  Check forward(named<T>("norm forward")), backward(named<T>("norm backward"));
  for (int i = 0; i < shapesEach(); ++i) {
    const int64_t rows = draw(1, 60), width = someWidth(), count = rows * width;
    const bool apart = i % 2 == 1;
    const float eps = pick({1e-5f, 1e-6f}), scale = pick({1.0f, 0.01f, 50.0f});
    const std::string shape = text("%ld rows of %ld%s", rows, width, apart ? ", not aligned" : "");
    Device<T> x(normal<T>(count, scale), apart), weight(normal<T>(width, 0.3f, 1), apart), dy(normal<T>(count), apart);
    const std::vector<T> before = normal<T>(count);
    Device<T> y(count, apart), dx(before, apart);
    Device<float> inverse(rows, false);
    Output<T> plain(count), gradPlain(before);
    Output<float> inversePlain(rows);
    rmsNormForwardNaive<T>(plain, inversePlain, x, weight, rows, width, eps);
    rmsNormBackwardNaive<T>(gradPlain, dy, x, inversePlain, weight, rows, width);
    succeed(cuda::rmsNormForward(typeOf<T>, y, inverse, x, weight, rows, width, eps, nullptr));
    succeed(cuda::rmsNormBackward(typeOf<T>, dx, dy, x, inverse, weight, rows, width, nullptr));
    forward.near(y.values(), plain.values(), close<T>(2), shape);
    forward.near(inverse.values(), inversePlain.values(), close<float>(1), shape + ", inverse rms");
    backward.near(dx.values(), gradPlain.values(), close<T>(1), shape);
  }
  for (const Check& check : {forward, backward}) check.finish();
}

template <typename T>
void testGate() {
  Check forward(named<T>("gate forward")), backward(named<T>("gate backward"));
  for (int i = 0; i < shapesEach(); ++i) {
    const int64_t rows = draw(1, 9), width = someWidth();
    const bool apart = i % 2 == 1;
    const std::string shape = text("%ld rows of %ld%s", rows, width, apart ? ", not aligned" : "");
    const std::vector<T> gateUp = normal<T>(2 * rows * width, pick({1.0f, 4.0f, 60.0f}));
    Device<T> both(gateUp, apart), dOut(normal<T>(rows * width), apart), out(rows * width, apart);
    Output<T> plain(rows * width), gradPlain(gateUp);
    siluGateForwardNaive<T>(plain, gateUp.data(), rows, width);
    siluGateBackwardNaive<T>(gradPlain, dOut, rows, width);
    succeed(cuda::siluGateForward(typeOf<T>, out, both, rows, width, nullptr));
    succeed(cuda::siluGateBackward(typeOf<T>, both, dOut, rows, width, nullptr));
    forward.near(out.values(), plain.values(), close<T>(2), shape);
    backward.near(both.values(), gradPlain.values(), close<T>(1), shape);
  }
  for (const Check& check : {forward, backward}) check.finish();
}

// Sequences, and the positions that go with them.
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
  Check split(named<T>("heads apart")), join(named<T>("heads together")), norm(named<T>("norm of heads"));
  Check normGradient(named<T>("norm of heads backward"));
  for (int i = 0; i < shapesEach(); ++i) {
    const Sequences sequences;
    const auto [heads, kvHeads] = pick<std::pair<int64_t, int64_t>>({{9, 3}, {4, 1}, {2, 2}, {1, 1}});
    const int64_t d = pick<int64_t>({2, 6, 16, 64, 128}), tokens = sequences.tokens();
    const bool apart = i % 2 == 1;
    const std::string name =
        text("%ld tokens, %ld/%ld heads of %ld%s", tokens, heads, kvHeads, d, apart ? ", not aligned" : "");
    const BtCudaHeads shape{tokens, heads, kvHeads, d};
    const AttentionShape packed{
        heads, kvHeads, d, 0, sequences.starts.data(), static_cast<int64_t>(sequences.starts.size()) - 1};
    const int64_t queries = tokens * heads * d, keys = tokens * kvHeads * d, all = queries + 2 * keys;
    const Rotary rotary(sequences.longest, d);
    const std::vector<T> values = normal<T>(all), gradient = normal<T>(all);
    Device<T> qkv(values, apart), q(queries, apart), k(keys, apart), v(keys, apart), joined(all, apart);
    Output<T> qPlain(queries), kPlain(keys), vPlain(keys), back(all);
    const float *cos = rotary.cos.data(), *sin = rotary.sin.data();
    splitHeadsNaive<T>(packed, values.data(), cos, sin, qPlain, kPlain, vPlain);
    joinHeadsNaive<T>(packed, qPlain, kPlain, vPlain, cos, sin, back);
    const int32_t* positions = sequences.positions.data();
    succeed(cuda::splitHeads(typeOf<T>, &shape, qkv, cos, sin, positions, q, k, v, nullptr));
    split.near(q.values(), tokenMajor(qPlain.values(), sequences, heads, d), close<T>(1), name + ", q");
    split.near(k.values(), tokenMajor(kPlain.values(), sequences, kvHeads, d), close<T>(1), name + ", k");
    split.same(v.values(), tokenMajor(vPlain.values(), sequences, kvHeads, d), name + ", v");
    // With angles of each token in place of positions.
    std::vector<float> cosOfToken, sinOfToken;
    for (int32_t position : sequences.positions) {
      cosOfToken.insert(cosOfToken.end(), cos + position * d / 2, cos + (position + 1) * d / 2);
      sinOfToken.insert(sinOfToken.end(), sin + position * d / 2, sin + (position + 1) * d / 2);
    }
    succeed(
        cuda::joinHeads(typeOf<T>, &shape, q, k, v, cosOfToken.data(), sinOfToken.data(), nullptr, joined, nullptr));
    join.near(joined.values(), back.values(), close<T>(2), name);

    Device<T> qWeight(normal<T>(d, 0.3f, 1), apart), kWeight(normal<T>(d, 0.3f, 1), apart);
    Device<T> out(all, apart), grad(gradient, apart);
    Device<float> inverse(tokens * (heads + kvHeads), false);
    Output<T> normPlain(all), gradPlain(gradient);
    Output<float> inversePlain(tokens * (heads + kvHeads));
    headNormForwardNaive<T>(packed, normPlain, inversePlain, values.data(), qWeight, kWeight, 1e-6f);
    headNormBackwardNaive<T>(packed, gradPlain, values.data(), inversePlain, qWeight, kWeight);
    succeed(cuda::headNormForward(typeOf<T>, &shape, out, inverse, qkv, qWeight, kWeight, 1e-6f, nullptr));
    succeed(cuda::headNormBackward(typeOf<T>, &shape, grad, qkv, inverse, qWeight, kWeight, nullptr));
    norm.near(out.values(), normPlain.values(), close<T>(2), name);
    norm.near(inverse.values(), inversePlain.values(), close<float>(1), name + ", inverse rms");
    normGradient.near(grad.values(), gradPlain.values(), close<T>(1), name);
  }
  for (const Check& check : {split, join, norm, normGradient}) check.finish();
}

void testDropoutBits() {
  Check check("dropout, bit for bit");
  for (int i = 0; i < 20; ++i) {
    const int64_t tokens = draw(1, 20), width = pick<int64_t>({1, 2, 63, 64, 577});
    const auto seed = static_cast<uint64_t>(generator());
    const int64_t step = draw(0, 1000);
    const auto index = static_cast<uint64_t>(draw(0, 200));
    const double p = pick({0.0, 0.05, 0.1, 0.5, 0.999});
    std::vector<int32_t> row(tokens), position(tokens);
    for (int32_t& value : row) value = static_cast<int32_t>(draw(-5, 1 << 30));
    std::iota(position.begin(), position.end(), 0);
    Output<float> expected(tokens * width);
    Device<float> found(tokens * width, i % 2 == 1);
    dropoutMask(expected, tokens, width, row.data(), position.data(),
                mixKey(seed, Purpose::dropout, static_cast<uint64_t>(step), index), p);
    const uint64_t stepKey = cuda::dropoutStepKey(seed, step);
    succeed(cuda::dropoutMask(found, tokens, width, row.data(), position.data(), &stepKey, index, p, nullptr));
    check.same(found.values(), expected.values(), text("%ld tokens of %ld, p %g", tokens, width, p));
  }
  check.finish();
}

template <typename T>
void testCrossEntropy() {
  Check loss(named<T>("cross-entropy")), gradient(named<T>("cross-entropy's gradient"));
  for (int i = 0; i < shapesEach(); ++i) {
    const int64_t rows = draw(1, 7), vocab = pick<int64_t>({1, 2, 31, 512, 4096, 5000});
    const bool apart = i % 2 == 1;
    const float shift = pick({0.0f, -200.0f, 300.0f}), scale = pick({0.0f, 1.0f, 0.02f});
    const std::string shape = text("%ld rows of %ld%s, scale %g", rows, vocab, apart ? ", not aligned" : "", scale);
    const std::vector<T> logits = normal<T>(rows * vocab, pick({1.0f, 10.0f, 100.0f}), shift);
    std::vector<int32_t> targets(rows);
    for (int32_t& target : targets) target = static_cast<int32_t>(draw(0, vocab - 1));
    const std::vector<int64_t> wideTargets(targets.begin(), targets.end());
    std::vector<double> expected(rows);
    Output<T> gradPlain(logits);
    crossEntropyNaive<T>(gradPlain, targets.data(), expected.data(), rows, vocab, scale);
    Device<T> values(logits, apart);
    Device<float> ofRow(rows, false);
    double sum = 3;
    succeed(cuda::crossEntropy(typeOf<T>, values, wideTargets.data(), ofRow, &sum, rows, vocab, scale, nullptr));
    // FP32 logits of some hundreds are known to some 1e-5, and so are their exponentials, relative to themselves.
    const double off = 1e-5 + 4e-7 * 600;
    const std::vector<float> found = ofRow.values();
    for (int64_t r = 0; r < rows; ++r) {
      loss.require(std::abs(found[r] - expected[r]) <= 1e-4,
                   text("%s: row %ld has %.9g, not %.9g", shape.c_str(), r, found[r], expected[r]));
    }
    const double total = std::accumulate(found.begin(), found.end(), 3.0);
    loss.require(std::abs(sum - total) < 1e-9, text("%s: the sum is %.12g, not %.12g", shape.c_str(), sum, total));
    gradient.near(values.values(), gradPlain.values(), {off, off + step<T>, 1, finest<T> + 1e-37 + off * scale}, shape);
  }
  const auto lossOf = [](std::vector<float> row) {
    const int64_t target = 0;
    float ofRow = 0;
    double sum = 0;
    succeed(cuda::crossEntropy(kBtCudaF32, row.data(), &target, &ofRow, &sum, 1, static_cast<int64_t>(row.size()), 0,
                               nullptr));
    return ofRow;
  };
  loss.require(std::isnan(lossOf({1, nan, 2})), "a NaN among the logits is lost");
  loss.require(!std::isfinite(lossOf({1, infinity, 2})), "an infinity among the logits is lost");
  loss.require(lossOf({3, -infinity, -infinity}) == 0, "a logit of -infinity counts");
  for (const Check& check : {loss, gradient}) check.finish();
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

int main(int count, char** arguments) {
  using namespace bt::testing;
  quick = count > 1 && std::strcmp(arguments[1], "--races") == 0;
  if (quick) {
    testCrossEntropy<float>();
  } else {
    testAll<float>();
    testAll<bt::Bf16>();
    testAll<bt::Fp16>();
    testDropoutBits();
  }
  std::printf("cuda kernels: %d passed, %d failed\n", passed, failed);
  return failed > 0;
}
