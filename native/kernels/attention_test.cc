// Attention and the split into heads before it, as kernels_test.cc says.
#include "kernels/attention.h"

#include "kernels/heads.h"
#include "kernels/testing.h"

namespace bt::testing {

namespace {

// All that attention computes of one Packed.
template <typename T>
struct Attended {
  std::vector<T> out, dq, dk, dv;
  std::vector<float> logSumExp;

  Attended(const Packed<T>& in, bool plain) {
    Output<T> to(in.queries()), toQ(in.queries()), toK(in.keys()), toV(in.keys());
    Output<float> sums(in.tokens() * in.heads);
    (plain ? attentionForwardNaive<T> : attentionForward<T>)(in.shape(), in.q.data(), in.k.data(), in.v.data(), to,
                                                             sums);
    (plain ? attentionBackwardNaive<T> : attentionBackward<T>)(in.shape(), in.q.data(), in.k.data(), in.v.data(), to,
                                                               sums, in.dOut.data(), toQ, toK, toV);
    out = to.values();
    dq = toQ.values();
    dk = toK.values();
    dv = toV.values();
    logSumExp = sums.values();
  }
};

template <typename T>
void testAttentionOf() {
  Check forward(named<T>("attention forward")), backward(named<T>("attention backward"));
  Check neighbours(named<T>("attention beside other sequences")), threads(named<T>("attention threads"));
  // The fast version rounds the probabilities, their gradients and the output to T on the way. What the rounded output
  // adds to a gradient is a share of terms of the size of a query, which may cancel.
  constexpr bool wide = std::is_same_v<T, float>;
  constexpr double unit = step<T>;
  const Tolerance value = wide ? Tolerance{2e-5, 0} : Tolerance{unit / 4, unit, 1, finest<T>, unit / 2};
  for (int i = 0; i < (quick ? 6 : 24); ++i) {
    const Packed<T> in = Packed<T>::random(quick ? 150 : pick<int64_t>({1, 3, 150, 310, 430}));
    const std::string name = in.name();
    const double querySize = std::sqrt(inner(in.q, in.q) / static_cast<double>(in.queries()));
    const double always = (wide ? 1e-5 : unit) * std::max(1.0, 2 * querySize);
    const Tolerance gradient = wide ? Tolerance{2e-5, 0, 1, always} : Tolerance{unit * 4, unit, 1, always, unit * 2};
    const Attended<T> fast(in, false), plain(in, true);
    forward.near(fast.out, plain.out, value, name);
    forward.near(fast.logSumExp, plain.logSumExp, {5e-6, 0}, name + ", log-sum-exp");
    backward.near(fast.dq, plain.dq, gradient, name + ", dq");
    backward.near(fast.dk, plain.dk, gradient, name + ", dk");
    backward.near(fast.dv, plain.dv, gradient, name + ", dv");

    sameForAnyThreads(threads, name, [&] {
      Attended<T> again(in, false);
      again.out.insert(again.out.end(), again.dq.begin(), again.dq.end());
      again.out.insert(again.out.end(), again.dk.begin(), again.dk.end());
      again.out.insert(again.out.end(), again.dv.begin(), again.dv.end());
      return again.out;
    });
    for (int64_t s = 0; s < in.sequences() && in.prefix == 0; ++s) {
      const Attended<T> alone(in.alone(s), false);
      const std::string which = name + text(", sequence %ld", s);
      const auto part = [&](const std::vector<T>& all, const std::vector<T>& one, int64_t width) {
        const std::vector<T> found(all.begin() + in.starts[s] * width, all.begin() + in.starts[s + 1] * width);
        neighbours.same(found, one, which);
      };
      part(fast.out, alone.out, in.heads * in.headDim);
      part(fast.dq, alone.dq, in.heads * in.headDim);
      part(fast.dk, alone.dk, in.kvHeads * in.headDim);
      part(fast.dv, alone.dv, in.kvHeads * in.headDim);
    }
  }
  for (const Check& check : {forward, backward, neighbours, threads}) check.finish();
}

void testAttentionDerivative() {
  Check check("attention backward is the derivative f32");
  for (int i = 0; i < (quick ? 4 : 12); ++i) {
    const Packed<float> in = Packed<float>::random(150);
    const Attended<float> found(in, false);
    const auto loss = [&](const Packed<float>& at) {
      Output<float> out(at.queries()), sums(at.tokens() * at.heads);
      attentionForward<float>(at.shape(), at.q.data(), at.k.data(), at.v.data(), out, sums);
      return inner(out.values(), in.dOut);
    };
    const auto along = [&](std::vector<float> Packed<float>::*part, const std::vector<float>& gradient,
                           const char* of) {
      derivative(check, in.*part, gradient, in.name() + of, [&](const std::vector<float>& values) {
        Packed<float> at = in;
        at.*part = values;
        return loss(at);
      });
    };
    along(&Packed<float>::q, found.dq, ", q");
    along(&Packed<float>::k, found.dk, ", k");
    along(&Packed<float>::v, found.dv, ", v");
  }
  check.finish();
}

// Scores far apart: one key takes all, the others' probabilities underflow.
template <typename T>
void testSteepAttention(int64_t headDim) {
  Check check(named<T>(text("attention with steep scores, heads of %ld", headDim)));
  Packed<T> in({200, 1, 130}, 2, 1, headDim, 0, 1);
  for (T& value : in.q) value = narrowTo<T>(widen(value) * 60);
  const Attended<T> fast(in, false), plain(in, true);
  // FP32 scores of some hundreds are known to some 1e-5, and so are their exponentials, relative to themselves.
  const Tolerance allowed =
      std::is_same_v<T, float> ? Tolerance{2e-4, 0} : Tolerance{4 * step<T>, step<T>, 1, finest<T>, 2 * step<T>};
  check.near(fast.out, plain.out, allowed, in.name());
  check.near(fast.logSumExp, plain.logSumExp, {1e-6, 0}, in.name());
  check.near(fast.dq, plain.dq, allowed, in.name() + ", dq");
  check.near(fast.dk, plain.dk, allowed, in.name() + ", dk");
  check.near(fast.dv, plain.dv, allowed, in.name() + ", dv");
  check.finish();
}

template <typename T>
void testHeads() {
  Check split(named<T>("split heads")), join(named<T>("join heads")), adjoint(named<T>("join is split's transpose"));
  for (int i = 0; i < (quick ? 6 : 24); ++i) {
    const Packed<T> in = Packed<T>::random(quick ? 60 : pick<int64_t>({1, 150, 310, 430}));
    const Rotary rotary(600, in.headDim);
    const int64_t count = in.queries() + 2 * in.keys();
    const std::vector<T> qkv = normal<T>(count);
    Output<T> q(in.queries()), k(in.keys()), v(in.keys()), qPlain(in.queries()), kPlain(in.keys()), vPlain(in.keys());
    splitHeads<T>(in.shape(), qkv.data(), rotary.cos.data(), rotary.sin.data(), q, k, v);
    splitHeadsNaive<T>(in.shape(), qkv.data(), rotary.cos.data(), rotary.sin.data(), qPlain, kPlain, vPlain);
    split.near(q.values(), qPlain.values(), exactish<T>, in.name() + ", q");
    split.near(k.values(), kPlain.values(), exactish<T>, in.name() + ", k");
    split.same(v.values(), vPlain.values(), in.name() + ", v");

    Output<T> joined(count), joinedPlain(count);
    joinHeads<T>(in.shape(), in.q.data(), in.k.data(), in.v.data(), rotary.cos.data(), rotary.sin.data(), joined);
    joinHeadsNaive<T>(in.shape(), in.q.data(), in.k.data(), in.v.data(), rotary.cos.data(), rotary.sin.data(),
                      joinedPlain);
    join.near(joined.values(), joinedPlain.values(), exactish<T>, in.name());

    // <split(x), y> = <x, join(y)>
    const double left = inner(q.values(), in.q) + inner(k.values(), in.k) + inner(v.values(), in.v);
    const double right = inner(qkv, joined.values());
    const double size = std::sqrt(inner(qkv, qkv) * (inner(in.q, in.q) + inner(in.k, in.k) + inner(in.v, in.v)));
    adjoint.require(std::abs(left - right) <= (std::is_same_v<T, float> ? 1e-6 : 0.25 * step<T>)*size,
                    text("%s: %.9g and %.9g", in.name().c_str(), left, right));
  }
  for (const Check& check : {split, join, adjoint}) check.finish();
}

template <typename T>
void testHeadNorm() {
  Check forward(named<T>("norm of heads")), backward(named<T>("norm of heads backward"));
  for (int i = 0; i < (quick ? 6 : 24); ++i) {
    const Packed<T> in = Packed<T>::random(quick ? 60 : pick<int64_t>({1, 150, 310}));
    const AttentionShape shape = in.shape();
    const int64_t count = in.queries() + 2 * in.keys(), inverses = in.tokens() * (in.heads + in.kvHeads);
    const float scale = pick({0.05f, 1.0f, 20.0f});
    const std::vector<T> qkv = normal<T>(count, scale), dOut = normal<T>(count);
    const std::vector<T> qWeight = normal<T>(in.headDim, 0.3f, 1), kWeight = normal<T>(in.headDim, 0.3f, 1);
    Output<T> out(count), outPlain(count);
    Output<float> inverse(inverses), inversePlain(inverses);
    headNormForward<T>(shape, out, inverse, qkv.data(), qWeight.data(), kWeight.data(), 1e-6f);
    headNormForwardNaive<T>(shape, outPlain, inversePlain, qkv.data(), qWeight.data(), kWeight.data(), 1e-6f);
    const Tolerance allowed =
        std::is_same_v<T, float> ? exactish<T> : Tolerance{0, 2 * step<T>, exactish<T>.unequal, 2 * finest<T>};
    forward.near(out.values(), outPlain.values(), allowed, in.name());
    forward.near(inverse.values(), inversePlain.values(), exactish<float>, in.name() + ", inverse rms");

    Output<T> grad(dOut), gradPlain(dOut);
    headNormBackward<T>(shape, grad, qkv.data(), inverse, qWeight.data(), kWeight.data());
    headNormBackwardNaive<T>(shape, gradPlain, qkv.data(), inverse, qWeight.data(), kWeight.data());
    backward.near(grad.values(), gradPlain.values(), exactish<T>, in.name());
    if constexpr (std::is_same_v<T, float>) {
      if (scale != 1) continue;
      derivative(backward, qkv, grad.values(), in.name(), [&](const std::vector<float>& at) {
        Output<float> there(count), scratch(inverses);
        headNormForward<float>(shape, there, scratch, at.data(), qWeight.data(), kWeight.data(), 1e-6f);
        return inner(there.values(), dOut);
      });
    }
  }
  for (const Check& check : {forward, backward}) check.finish();
}

}  // namespace

void testAttention() {
  testHeadNorm<float>();
  testHeadNorm<Bf16>();
  testHeadNorm<Fp16>();
  testHeads<Fp16>();
  testAttentionOf<Fp16>();

  testHeads<float>();
  testHeads<Bf16>();
  testAttentionOf<float>();
  testAttentionOf<Bf16>();
  for (const int64_t headDim : {16, 64}) testSteepAttention<float>(headDim);
  for (const int64_t headDim : {16, 64}) testSteepAttention<Bf16>(headDim);
  testAttentionDerivative();
}

}  // namespace bt::testing
