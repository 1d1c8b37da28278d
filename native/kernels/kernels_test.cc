// Holds the fast kernels to their plain versions over random shapes, and to what they promise beside: every element is
// written and nothing past the end, neighbours in a batch and the number of threads do not matter, and a backward is
// the derivative of its forward. Here are the loops over elements and rows, and the program; attention_test.cc,
// linear_test.cc, kernels_bench_test.cc and linear_bench_test.cc belong to it. The quantized blocks have their own
// program, dequant_test.cc.
// Usage: kernels_test [--quick | --bench | --bench-linear]    --quick: fewer and smaller shapes, for sanitized builds
// Links libtorch_cpu.so for the products of kernels/blas.cc. Prints a line for each check, then
// "kernels: N passed, N failed"; exit code 1 when one failed. --bench prints milliseconds beside the plain versions',
// --bench-linear what products of packed weights make of memory and arithmetic.
#include <link.h>

#include <bit>
#include <numeric>

#include "kernels/blas.h"
#include "kernels/cross_entropy.h"
#include "kernels/dropout.h"
#include "kernels/gate.h"
#include "kernels/logits.h"
#include "kernels/norm.h"
#include "kernels/random.h"
#include "kernels/testing.h"

namespace bt::testing {

namespace {

// ---- Elements

// As the kernels use it: in a loop that is vectorised, fused multiply-adds where the machine has them.
BT_DISPATCH void exponentials(float* y, const float* x, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) y[i] = fastExp(x[i]);
}

std::vector<float> exponentials(const std::vector<float>& x) {
  std::vector<float> y(x.size());
  exponentials(y.data(), x.data(), static_cast<int64_t>(x.size()));
  return y;
}

void testExp() {
  std::vector<float> x;
  for (double at = -100; at <= 88; at += quick ? 1e-3 : 1e-4) x.push_back(static_cast<float>(at));
  const std::vector<float> y = exponentials(x);
  double worst = 0, below = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = std::exp(static_cast<double>(x[i]));
    if (x[i] < -87.3f) {
      below = std::max(below, std::abs(y[i] - exact));
    } else {
      worst = std::max(worst, std::abs(y[i] - exact) / exact);
    }
  }
  report("fastExp of [-87.3, 88]", worst < 3e-7, text("%zu numbers, relative difference %.2e", x.size(), worst));
  report("fastExp of [-100, -87.3]", below < 1.3e-38, text("difference %.2e", below));

  const std::vector<float> far =
      exponentials({-infinity, -1e30f, -87.4f, 0.0f, -0.0f, 88.3f, 88.5f, 88.7f, 100.0f, 1e30f, infinity, nan});
  bool good = far[0] == 0 && far[1] == 0 && far[2] == 0 && far[3] == 1 && far[4] == 1 && std::isnan(far.back());
  for (size_t i = 5; i + 1 < far.size(); ++i) good = good && std::isfinite(far[i]) && far[i] > 2e38f;
  report("fastExp far out", good, text("e^88.5 %.4g, e^100 %.4g, e^NaN %g", far[6], far[8], far.back()));
}

// The nearest of the two Bf16 numbers around x, by their distance; the even one of a tie.
Bf16 narrowPlain(float x) {
  const auto below = static_cast<uint16_t>(std::bit_cast<uint32_t>(x) >> 16);
  const auto above = static_cast<uint16_t>(below + 1);
  // Past the largest finite number the next one is 2^128 for this purpose, which infinity stands for.
  const auto value = [](uint16_t bits) {
    return (bits & 0x7fff) == 0x7f80 ? std::copysign(0x1p128, (bits & 0x8000) != 0 ? -1.0 : 1.0)
                                     : static_cast<double>(widen(Bf16{bits}));
  };
  if (std::isinf(x)) return {below};
  const double toBelow = std::abs(x - value(below)), toAbove = std::abs(value(above) - x);
  if (toBelow == toAbove) return {(below & 1) == 0 ? below : above};
  return {toBelow < toAbove ? below : above};
}

void testNarrow() {
  int wrong = 0;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const Bf16 x{static_cast<uint16_t>(bits)}, back = narrowTo<Bf16>(widen(x));
    wrong += std::isnan(widen(x)) ? !std::isnan(widen(back)) : back.bits != bits;
  }
  report("Bf16 and back", wrong == 0, text("%d of 65536 numbers come back as another", wrong));

  std::vector<uint32_t> patterns;
  for (uint32_t high = 0; high < 0x10000; ++high) {
    for (uint32_t low : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) patterns.push_back(high << 16 | low);
  }
  for (int i = 0; i < 1000000; ++i) patterns.push_back(static_cast<uint32_t>(generator()));
  wrong = 0;
  for (uint32_t bits : patterns) {
    const float x = std::bit_cast<float>(bits);
    const Bf16 found = narrowTo<Bf16>(x);
    wrong += std::isnan(x) ? !std::isnan(widen(found)) || std::signbit(widen(found)) != std::signbit(x)
                           : found.bits != narrowPlain(x).bits;
  }
  report("Bf16 to nearest, ties to even", wrong == 0, text("%d of %zu wrong", wrong, patterns.size()));

  const bool good = narrowTo<Bf16>(infinity).bits == 0x7f80 && narrowTo<Bf16>(-infinity).bits == 0xff80 &&
                    narrowTo<Bf16>(std::numeric_limits<float>::max()).bits == 0x7f80 &&
                    narrowTo<Bf16>(1 + 0x1p-8f).bits == 0x3f80 && narrowTo<Bf16>(1 + 3 * 0x1p-8f).bits == 0x3f82 &&
                    std::isnan(widen(narrowTo<Bf16>(std::bit_cast<float>(0x7f800001u)))) &&
                    std::isnan(widen(narrowTo<Bf16>(std::bit_cast<float>(0xffffffffu))));
  report("Bf16 of infinities, NaN, ties", good, "by their bits");
}

// FP16 by the processor's own reading and rounding of it, which the compiler uses for _Float16.
void testHalf() {
  int wrong = 0;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const Fp16 x{static_cast<uint16_t>(bits)}, back = narrowTo<Fp16>(widen(x));
    const auto exact = static_cast<float>(std::bit_cast<_Float16>(x.bits));
    wrong += std::isnan(exact)
                 ? !std::isnan(widen(x)) || !std::isnan(widen(back))
                 : std::bit_cast<uint32_t>(widen(x)) != std::bit_cast<uint32_t>(exact) || back.bits != bits;
  }
  report("Fp16 and back", wrong == 0, text("%d of 65536 numbers wrong", wrong));

  std::vector<uint32_t> patterns;
  for (uint32_t half = 0; half < 0x7c00; ++half) {
    const auto exact = std::bit_cast<uint32_t>(widen(Fp16{static_cast<uint16_t>(half)}));
    const auto next = std::bit_cast<uint32_t>(half == 0x7bff ? 65536.0f : widen(Fp16{static_cast<uint16_t>(half + 1)}));
    const auto between = std::bit_cast<uint32_t>((std::bit_cast<float>(exact) + std::bit_cast<float>(next)) / 2);
    for (uint32_t near : {exact, between - 1, between, between + 1}) {
      patterns.push_back(near);
      patterns.push_back(near | 0x80000000u);
    }
  }
  for (uint32_t edge : {0x7f800000u, 0xff800000u, 0x7f800001u, 0xffffffffu, 0x7f7fffffu, 1u}) patterns.push_back(edge);
  for (int i = 0; i < 1000000; ++i) patterns.push_back(static_cast<uint32_t>(generator()));
  wrong = 0;
  for (uint32_t bits : patterns) {
    const float x = std::bit_cast<float>(bits);
    const Fp16 found = narrowTo<Fp16>(x);
    const auto exact = std::bit_cast<uint16_t>(static_cast<_Float16>(x));
    wrong += std::isnan(x) ? !std::isnan(widen(found)) : found.bits != exact;
  }
  report("Fp16 to nearest, ties to even", wrong == 0, text("%d of %zu wrong", wrong, patterns.size()));
}

// ---- Loops over rows

int64_t drawWidth() {
  return quick ? pick<int64_t>({1, 3, 17, 64, 65}) : pick<int64_t>({1, 2, 7, 15, 33, 64, 255, 576});
}

template <typename T>
void testNorm() {
  Check forward(named<T>("norm forward")), backward(named<T>("norm backward")), threads(named<T>("norm threads"));
  for (int i = 0; i < shapes(); ++i) {
    const int64_t rows = draw(1, 70), width = drawWidth(), count = rows * width;
    const std::string shape = text("%ld rows of %ld", rows, width);
    const float eps = pick({1e-5f, 1e-6f}), scale = pick({1.0f, 0.01f, 50.0f});
    const std::vector<T> x = normal<T>(count, scale), weight = normal<T>(width, 0.3f, 1), dy = normal<T>(count);
    Output<T> y(count), yPlain(count), yAlone(count);
    Output<float> inverse(rows), inversePlain(rows);
    rmsNormForward<T>(y, inverse, x.data(), weight.data(), rows, width, eps);
    rmsNormForwardNaive<T>(yPlain, inversePlain, x.data(), weight.data(), rows, width, eps);
    rmsNormForward<T>(yAlone, nullptr, x.data(), weight.data(), rows, width, eps);
    // In half precision the quotient is rounded before the product: a step in the first can be two in the second.
    const Tolerance allowed =
        std::is_same_v<T, float> ? exactish<T> : Tolerance{0, 2 * step<T>, exactish<T>.unequal, 2 * finest<T>};
    forward.near(y.values(), yPlain.values(), allowed, shape);
    forward.near(inverse.values(), inversePlain.values(), exactish<float>, shape + ", inverse rms");
    forward.same(yAlone.values(), y.values(), shape + ", inverse rms not asked for");

    const std::vector<T> before = normal<T>(count);
    Output<T> dx(before), dxPlain(before);
    rmsNormBackward<T>(dx, dy.data(), x.data(), inverse, weight.data(), rows, width);
    rmsNormBackwardNaive<T>(dxPlain, dy.data(), x.data(), inverse, weight.data(), rows, width);
    backward.near(dx.values(), dxPlain.values(), exactish<T>, shape);

    sameForAnyThreads(threads, shape, [&] {
      Output<T> again(before);
      rmsNormBackward<T>(again, dy.data(), x.data(), inverse, weight.data(), rows, width);
      return again.values();
    });
    if constexpr (std::is_same_v<T, float>) {
      if (scale != 1) continue;
      Output<float> gradient(std::vector<float>(count, 0.0f));
      rmsNormBackward<float>(gradient, dy.data(), x.data(), inverse, weight.data(), rows, width);
      // One feature alone has no slope but eps's.
      if (width < 3) continue;
      derivative(backward, x, gradient.values(), shape, [&](const std::vector<float>& at) {
        Output<float> out(count);
        rmsNormForward<float>(out, nullptr, at.data(), weight.data(), rows, width, eps);
        return inner(out.values(), dy);
      });
    }
  }
  for (const Check& check : {forward, backward, threads}) check.finish();
}

template <typename T>
void testGate() {
  Check forward(named<T>("gate forward")), backward(named<T>("gate backward")), threads(named<T>("gate threads"));
  for (int i = 0; i < shapes(); ++i) {
    const int64_t rows = draw(1, 70), width = drawWidth();
    const std::string shape = text("%ld rows of %ld", rows, width);
    const float scale = pick({1.0f, 4.0f, 60.0f});
    const std::vector<T> gateUp = normal<T>(2 * rows * width, scale), dOut = normal<T>(rows * width);
    Output<T> out(rows * width), outPlain(rows * width), grad(gateUp), gradPlain(gateUp);
    siluGateForward<T>(out, gateUp.data(), rows, width);
    siluGateForwardNaive<T>(outPlain, gateUp.data(), rows, width);
    // As in norm forward: a step in the activation can be two in its product.
    const Tolerance allowed =
        std::is_same_v<T, float> ? exactish<T> : Tolerance{1e-30, 2 * step<T>, exactish<T>.unequal, scale * finest<T>};
    forward.near(out.values(), outPlain.values(), allowed, shape);
    siluGateBackward<T>(grad, dOut.data(), rows, width);
    siluGateBackwardNaive<T>(gradPlain, dOut.data(), rows, width);
    backward.near(grad.values(), gradPlain.values(), exactish<T>, shape);
    sameForAnyThreads(threads, shape, [&] {
      Output<T> again(gateUp);
      siluGateBackward<T>(again, dOut.data(), rows, width);
      return again.values();
    });
    if constexpr (std::is_same_v<T, float>) {
      if (scale != 1) continue;
      derivative(backward, gateUp, grad.values(), shape, [&](const std::vector<float>& at) {
        Output<float> there(rows * width);
        siluGateForward<float>(there, at.data(), rows, width);
        return inner(there.values(), dOut);
      });
    }
  }
  for (const Check& check : {forward, backward, threads}) check.finish();
}

template <typename T>
void testCrossEntropy() {
  Check loss(named<T>("cross-entropy")), gradient(named<T>("cross-entropy's gradient"));
  for (int i = 0; i < shapes(); ++i) {
    const int64_t rows = draw(1, 20), vocab = quick ? draw(2, 300) : pick<int64_t>({2, 17, 512, 4096, 4097, 20000});
    const std::string shape = text("%ld rows of %ld", rows, vocab);
    const float scale = pick({0.1f, 3.0f, 30.0f}), gradScale = pick({1.0f, 1 / 512.0f, 100.0f});
    const std::vector<T> logits = normal<T>(rows * vocab, scale);
    std::vector<int32_t> targets;
    for (int64_t r = 0; r < rows; ++r) targets.push_back(static_cast<int32_t>(draw(0, vocab - 1)));
    Output<T> found(logits), plain(logits), kept(logits);
    std::vector<double> losses(rows), plainLosses(rows), alone(rows);
    crossEntropy<T>(found, targets.data(), losses.data(), rows, vocab, gradScale);
    crossEntropyNaive<T>(plain, targets.data(), plainLosses.data(), rows, vocab, gradScale);
    crossEntropy<T>(kept, targets.data(), alone.data(), rows, vocab, 0);
    for (int64_t r = 0; r < rows; ++r) {
      loss.require(std::abs(losses[r] - plainLosses[r]) <= 1e-5 * (1 + std::abs(plainLosses[r])),
                   text("%s: %.9g, not %.9g", shape.c_str(), losses[r], plainLosses[r]));
    }
    loss.same(alone, losses, shape + ", without gradient");
    loss.same(kept.values(), logits, shape + ", logits without gradient");
    // Exponentials of differences are known to the differences' last bits.
    const Tolerance allowed{1e-6, step<T> + 1e-5, 1, 2 * finest<T> + 3e-6 * gradScale};
    gradient.near(found.values(), plain.values(), allowed, shape);
  }
  for (const Check& check : {loss, gradient}) check.finish();
}

// ---- Logits

template <typename T>
void testLogits() {
  Check sums(named<T>("logits")), alone(named<T>("logits of a row in any batch")), threads(named<T>("logits, threads"));
  for (int i = 0; i < shapes(); ++i) {
    const int64_t rows = draw(1, 18), vocab = draw(1, 70), width = pick<int64_t>({1, 24, 32, 63, 64, 576, 2049});
    const std::string shape = text("%ld rows, %ld weights of %ld", rows, vocab, width);
    const std::vector<T> hidden = normal<T>(rows * width), weight = normal<T>(vocab * width);
    Output<float> found(rows * vocab), plain(rows * vocab), one(vocab);
    logits<T>(hidden.data(), weight.data(), found, rows, vocab, width);
    logitsNaive<T>(hidden.data(), weight.data(), plain, rows, vocab, width);
    sums.near(found.values(), plain.values(), {2e-6, 0}, shape);
    const int64_t row = draw(0, rows - 1);
    logits<T>(hidden.data() + row * width, weight.data(), one, 1, vocab, width);
    const std::vector<float> all = found.values();
    alone.same(one.values(), {all.begin() + row * vocab, all.begin() + (row + 1) * vocab}, shape);
    sameForAnyThreads(threads, shape, [&] {
      Output<float> again(rows * vocab);
      logits<T>(hidden.data(), weight.data(), again, rows, vocab, width);
      return again.values();
    });
  }
  for (const Check& check : {sums, alone, threads}) check.finish();
}

// ---- Products

template <typename T>
void testProductsOf() {
  for (const Layout& layout : layouts) {
    Check check(named<T>("product") + " " + layout.name);
    for (int i = 0; i < shapes(); ++i) {
      const int64_t m = draw(1, 140), n = draw(1, 140), k = draw(1, 140);
      const int64_t lda = (layout.transA ? m : k) + draw(0, 3), ldb = (layout.transB ? k : n) + draw(0, 3);
      const int64_t ldc = n + draw(0, 3);
      const float beta = pick({0.0f, 1.0f});
      const std::vector<T> a = normal<T>((layout.transA ? k : m) * lda), b = normal<T>((layout.transB ? n : k) * ldb);
      // With beta 0, what C held (here NaN) is not read. What lies between its rows stays.
      std::vector<float> before = normal<float>(m * ldc);
      if (beta == 0) {
        for (int64_t row = 0; row < m; ++row) std::fill_n(before.begin() + row * ldc, n, nan);
      }
      Output<float> c(before), plain(before);
      product(layout, m, n, k, a.data(), lda, b.data(), ldb, beta, c, ldc);
      productPlain(layout, m, n, k, a.data(), lda, b.data(), ldb, beta, plain, ldc);
      check.near(c.values(), plain.values(), {5e-6, 0}, text("(%ld, %ld) of depth %ld, beta %g", m, n, k, beta));
    }
    check.finish();
  }
}

// ---- Dropout

std::vector<float> mask(const std::vector<int32_t>& rows, const std::vector<int32_t>& positions, int64_t width,
                        uint64_t key, double p) {
  const auto tokens = static_cast<int64_t>(rows.size());
  Output<float> cells(tokens * width);
  dropoutMask(cells, tokens, width, rows.data(), positions.data(), key, p);
  return cells.values();
}

std::vector<float> maskOf(int32_t row, int64_t tokens, int64_t width, uint64_t key, double p) {
  std::vector<int32_t> positions(tokens);
  std::iota(positions.begin(), positions.end(), 0);
  return mask(std::vector<int32_t>(tokens, row), positions, width, key, p);
}

}  // namespace

void testDropout() {
  Check share("dropout share and kept value"), place("dropout of a token in any batch");
  Check apart("dropout of other features, tokens, rows and keys");
  for (double p : {0.0, 0.05, 0.1, 0.5, 0.9}) {
    for (int64_t width : {1, 63, 64, 575, 576}) {
      const int64_t tokens = 200000 / width;
      const std::string shape = text("p %g, width %ld", p, width);
      const std::vector<float> cells = maskOf(7, tokens, width, mixKey(1, Purpose::dropout, 2, 3), p);
      const auto kept = static_cast<float>(1 / (1 - p));
      int64_t zeros = 0, others = 0;
      for (float cell : cells) {
        zeros += cell == 0;
        others += cell != 0 && cell != kept;
      }
      share.require(others == 0, text("%s: %ld kept values are not %g", shape.c_str(), others, kept));
      const auto count = static_cast<double>(cells.size());
      share.require(std::abs(static_cast<double>(zeros) - p * count) <= 4.5 * std::sqrt(p * (1 - p) * count),
                    text("%s: %ld of %.0f are zero", shape.c_str(), zeros, count));
    }
  }
  share.finish();

  // Tokens of several rows, shuffled: each has the mask that it has alone. A narrower mask is the wider one's
  // beginning.
  for (int64_t width : {1, 2, 63, 576}) {
    std::vector<int32_t> rows, positions;
    for (int i = 0; i < 40; ++i) {
      rows.push_back(static_cast<int32_t>(draw(0, 2000000000)));
      positions.push_back(static_cast<int32_t>(draw(0, 5000)));
    }
    const std::vector<float> all = mask(rows, positions, width, 42, 0.3);
    for (size_t t = 0; t < rows.size(); ++t) {
      const auto from = all.begin() + static_cast<ptrdiff_t>(t) * width;
      std::vector<float> wider = mask({rows[t]}, {positions[t]}, width + 3, 42, 0.3);
      wider.resize(width);
      place.same({from, from + width}, wider, text("width %ld, token %zu", width, t));
    }
  }
  place.finish();

  // Of two unrelated masks, p^2 + (1-p)^2 of the places agree.
  const int64_t tokens = 300, width = 576, count = tokens * width;
  const double p = 0.3, chance = p * p + (1 - p) * (1 - p);
  const uint64_t key = mixKey(9, Purpose::dropout, 5, 1);
  const std::vector<float> base = maskOf(1, tokens, width, key, p);
  const auto unrelated = [&](const std::vector<float>& other, int64_t shift, const std::string& what) {
    int64_t agree = 0;
    for (int64_t i = 0; i + shift < count; ++i) agree += (base[i + shift] == 0) == (other[i] == 0);
    const auto places = static_cast<double>(count - shift);
    apart.require(std::abs(static_cast<double>(agree) - chance * places) <= 4.5 * std::sqrt(places * 0.25),
                  text("%s: %ld of %.0f agree, %.0f expected", what.c_str(), agree, places, chance * places));
  };
  for (int64_t shift : {1, 2, 3, 4, 8}) unrelated(base, shift, text("features %ld apart", shift));
  for (int64_t shift : {1, 2, 7}) unrelated(base, shift * width, text("tokens %ld apart", shift));
  for (int32_t row : {0, 2, 3, 1 << 20, -1}) unrelated(maskOf(row, tokens, width, key, p), 0, text("row %d", row));
  unrelated(maskOf(1, tokens, width, mixKey(9, Purpose::dropout, 6, 1), p), 0, "next step");
  unrelated(maskOf(1, tokens, width, mixKey(9, Purpose::dropout, 5, 2), p), 0, "next layer");
  unrelated(maskOf(1, tokens, width, mixKey(10, Purpose::dropout, 5, 1), p), 0, "next seed");
  apart.finish();
}

void testElements() {
  testExp();
  testNarrow();
  testHalf();
}

void testRows() {
  testNorm<float>();
  testNorm<Bf16>();
  testNorm<Fp16>();
  testGate<float>();
  testGate<Bf16>();
  testGate<Fp16>();
  testCrossEntropy<float>();
  testCrossEntropy<Bf16>();
  testCrossEntropy<Fp16>();
  testLogits<float>();
  testLogits<Bf16>();
  testLogits<Fp16>();
}

void testProducts() {
  testProductsOf<float>();
  testProductsOf<Bf16>();
  testProductsOf<Fp16>();
}

namespace {

// ---- The program

// Two copies of OpenMP's run time would each have a thread for every core.
void testOneOpenMp() {
  int copies = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* count) {
        const char* name = std::strrchr(info->dlpi_name, '/');
        *static_cast<int*>(count) += name != nullptr && std::strncmp(name, "/libgomp", 8) == 0;
        return 0;
      },
      &copies);
  report("one OpenMP run time", copies == 1, text("%d loaded, %d threads", copies, omp_get_max_threads()));
}

int run(const std::string& option) {
  if (option == "--bench") {
    bench();
    return 0;
  }
  if (option == "--bench-linear") {
    benchLinear();
    return 0;
  }
  quick = option == "--quick";
  if (!option.empty() && !quick) {
    throw std::runtime_error("usage: kernels_test [--quick | --bench | --bench-linear]");
  }
  testOneOpenMp();
  testElements();
  testDropout();
  testRows();
  testProducts();
  testAttention();
  testLinear();
  std::printf("kernels: %d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace

}  // namespace bt::testing

int main(int argc, char** argv) {
  try {
    return bt::testing::run(argc > 1 ? argv[1] : "");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
