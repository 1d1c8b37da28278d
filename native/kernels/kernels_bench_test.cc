// Milliseconds of each kernel beside its plain version, for `kernels_test --bench`.
#include <chrono>

#include "kernels/cross_entropy.h"
#include "kernels/dropout.h"
#include "kernels/gate.h"
#include "kernels/heads.h"
#include "kernels/logits.h"
#include "kernels/norm.h"
#include "kernels/testing.h"

namespace bt::testing {

namespace {

// Milliseconds of a call: the best of as many as fit into 0.3 s, after one to warm up.
double milliseconds(const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  double best = std::numeric_limits<double>::infinity();
  const auto start = Clock::now();
  call();
  while (std::isinf(best) || Clock::now() - start < std::chrono::milliseconds(300)) {
    const auto before = Clock::now();
    call();
    best = std::min(best, std::chrono::duration<double, std::milli>(Clock::now() - before).count());
  }
  return best;
}

template <typename T>
void benchLine(const char* kernel, const std::function<void()>& fast, const std::function<void()>& plain) {
  const double quicker = milliseconds(fast), slower = milliseconds(plain);
  std::printf("%-28s %9.3f ms   plain %9.2f ms   %6.1f times\n", named<T>(kernel).c_str(), quicker, slower,
              slower / quicker);
  std::fflush(stdout);
}

// SmolLM2-135M's shape: 1,200 tokens as 4 sequences of 300.
template <typename T>
void benchOf() {
  const int64_t hidden = 576, inner = 1536;
  const Packed<T> in({300, 300, 300, 300}, 9, 3, 64, 0, 1);
  const AttentionShape shape = in.shape();
  const int64_t tokens = in.tokens(), qkvCount = in.queries() + 2 * in.keys();
  const Rotary rotary(300, 64);
  const float *cos = rotary.cos.data(), *sin = rotary.sin.data();
  const std::vector<T> x = normal<T>(tokens * hidden), weight = normal<T>(hidden), qkv = normal<T>(qkvCount);
  const std::vector<T> gateUp = normal<T>(2 * tokens * inner), dInner = normal<T>(tokens * inner);
  std::vector<T> y(x), joined(qkv), gate(gateUp), dGate(gateUp), q(in.q), k(in.k), v(in.v), out(in.q);
  std::vector<float> inverse(tokens), sums(tokens * in.heads), wide(tokens * inner);
  std::vector<float> norms(tokens * (in.heads + in.kvHeads));
  // Repeated in place, a gradient would grow without bounds or turn subnormal, so each call begins anew.
  const auto renew = [&] { std::copy(gateUp.begin(), gateUp.end(), dGate.begin()); };

  benchLine<T>(
      "norm forward",
      [&] { rmsNormForward<T>(y.data(), inverse.data(), x.data(), weight.data(), tokens, hidden, 1e-5f); },
      [&] { rmsNormForwardNaive<T>(y.data(), inverse.data(), x.data(), weight.data(), tokens, hidden, 1e-5f); });
  benchLine<T>(
      "norm backward",
      [&] { rmsNormBackward<T>(y.data(), x.data(), x.data(), inverse.data(), weight.data(), tokens, hidden); },
      [&] { rmsNormBackwardNaive<T>(y.data(), x.data(), x.data(), inverse.data(), weight.data(), tokens, hidden); });
  benchLine<T>(
      "gate forward", [&] { siluGateForward<T>(gate.data(), gateUp.data(), tokens, inner); },
      [&] { siluGateForwardNaive<T>(gate.data(), gateUp.data(), tokens, inner); });
  benchLine<T>(
      "gate backward (and a copy)",
      [&] {
        renew();
        siluGateBackward<T>(dGate.data(), dInner.data(), tokens, inner);
      },
      [&] {
        renew();
        siluGateBackwardNaive<T>(dGate.data(), dInner.data(), tokens, inner);
      });
  benchLine<T>(
      "split heads", [&] { splitHeads<T>(shape, qkv.data(), cos, sin, q.data(), k.data(), v.data()); },
      [&] { splitHeadsNaive<T>(shape, qkv.data(), cos, sin, q.data(), k.data(), v.data()); });
  benchLine<T>(
      "join heads", [&] { joinHeads<T>(shape, in.q.data(), in.k.data(), in.v.data(), cos, sin, joined.data()); },
      [&] { joinHeadsNaive<T>(shape, in.q.data(), in.k.data(), in.v.data(), cos, sin, joined.data()); });
  benchLine<T>(
      "attention forward",
      [&] { attentionForward<T>(shape, in.q.data(), in.k.data(), in.v.data(), out.data(), sums.data()); },
      [&] { attentionForwardNaive<T>(shape, in.q.data(), in.k.data(), in.v.data(), out.data(), sums.data()); });
  attentionForward<T>(shape, in.q.data(), in.k.data(), in.v.data(), out.data(), sums.data());
  benchLine<T>(
      "attention backward",
      [&] {
        attentionBackward<T>(shape, in.q.data(), in.k.data(), in.v.data(), out.data(), sums.data(), in.dOut.data(),
                             q.data(), k.data(), v.data());
      },
      [&] {
        attentionBackwardNaive<T>(shape, in.q.data(), in.k.data(), in.v.data(), out.data(), sums.data(), in.dOut.data(),
                                  q.data(), k.data(), v.data());
      });
  const int64_t scored = 140, vocab = 49152;
  const std::vector<T> logits = normal<T>(scored * vocab, 3);
  std::vector<T> gradient(logits);
  const std::vector<int32_t> targets(scored, 7);
  std::vector<double> losses(scored);
  benchLine<T>(
      "cross-entropy",
      [&] {
        std::copy(logits.begin(), logits.end(), gradient.begin());
        crossEntropy<T>(gradient.data(), targets.data(), losses.data(), scored, vocab, 0.01f);
      },
      [&] {
        std::copy(logits.begin(), logits.end(), gradient.begin());
        crossEntropyNaive<T>(gradient.data(), targets.data(), losses.data(), scored, vocab, 0.01f);
      });
  const int64_t sequences = 16;
  const std::vector<T> states = normal<T>(sequences * hidden), head = normal<T>(vocab * hidden);
  std::vector<float> chances(sequences * vocab);
  benchLine<T>(
      "logits of 16 rows", [&] { bt::logits<T>(states.data(), head.data(), chances.data(), sequences, vocab, hidden); },
      [&] { logitsNaive<T>(states.data(), head.data(), chances.data(), sequences, vocab, hidden); });
  benchLine<T>(
      "norm of heads",
      [&] { headNormForward<T>(shape, joined.data(), norms.data(), qkv.data(), weight.data(), weight.data(), 1e-6f); },
      [&] {
        headNormForwardNaive<T>(shape, joined.data(), norms.data(), qkv.data(), weight.data(), weight.data(), 1e-6f);
      });
  benchLine<T>(
      "product NT 128, 300, 64",
      [&] { product(layouts[0], 128, 300, 64, in.q.data(), 64, in.k.data(), 64, 0, wide.data(), 300); },
      [&] { productPlain(layouts[0], 128, 300, 64, in.q.data(), 64, in.k.data(), 64, 0, wide.data(), 300); });
  if constexpr (std::is_same_v<T, float>) {
    const std::vector<int32_t> rows(tokens, 3), positions(tokens, 5);
    std::mt19937_64 random(1);
    std::bernoulli_distribution dropped(0.05);
    benchLine<T>(
        "dropout of 576 features",
        [&] { dropoutMask(wide.data(), tokens, hidden, rows.data(), positions.data(), 1, 0.05); },
        [&] {
          for (int64_t i = 0; i < tokens * hidden; ++i) wide[i] = dropped(random) ? 0 : 1 / 0.95f;
        });
  }
}

}  // namespace

void bench() {
  benchOf<float>();
  benchOf<Bf16>();
  benchOf<Fp16>();
}

}  // namespace bt::testing
