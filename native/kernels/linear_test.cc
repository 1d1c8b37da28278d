// Products of packed weights: held to their definition in FP64, and to what they promise of a row in any batch. Part of
// kernels_test.
#include "kernels/linear.h"
#include "kernels/dequant.h"
#include "kernels/linear_layout.h"
#include "kernels/quantize.h"
#include "kernels/testing.h"

namespace bt::testing {

namespace {

constexpr std::pair<WeightKind, const char*> kinds[] = {
    {WeightKind::fp32, "fp32"}, {WeightKind::bf16, "bf16"}, {WeightKind::int8, "int8"}, {WeightKind::int4, "int4"}};

// Packed weights with the memory that they lie in, which begins as ones to show what is left unwritten.
struct Weights {
  std::vector<uint8_t> memory;
  std::vector<float> bias;
  PackedWeight packed;

  Weights(WeightKind kind, int64_t out, int64_t in, std::string_view path = {})
      : memory(static_cast<size_t>(packedBytes(kind, out, in)) + 64, 0xff),
        packed{kind, out, in, aligned(), nullptr, path} {}
  Weights(WeightKind kind, int64_t out, int64_t in, const std::vector<float>& rows, std::string_view path)
      : Weights(kind, out, in, path) {
    packRows(packed, 0, out, rows.data());
  }

  std::vector<uint8_t> bytes() const {
    return {packed.data, packed.data + packedBytes(packed.kind, packed.out, packed.in)};
  }

 private:
  uint8_t* aligned() {
    const auto address = reinterpret_cast<uintptr_t>(memory.data());
    return memory.data() + (64 - address % 64) % 64;
  }
};

int64_t someWidth() {
  const int64_t width = pick<int64_t>({1, 2, 31, 32, 33, 64, 95, draw(1, 300), 576, 1536, 2050});
  return quick ? std::min<int64_t>(width, 200) : width;
}
int64_t someOutputs() { return pick<int64_t>({1, 15, 16, 17, 32, 48, 63, 64, 65, draw(1, 200), 192}); }

template <typename X, typename Y>
std::vector<Y> product(const PackedWeight& weight, const X* x, int64_t rows) {
  Output<Y> y(rows * weight.out);
  linear(weight, x, rows, static_cast<Y*>(y));
  return y.values();
}

// ---- Values

template <typename X, typename Y>
void testValues(WeightKind kind, const char* name, std::string_view path) {
  Check check(
      text("linear %s %.*s, %s to %s", name, static_cast<int>(path.size()), path.data(), typeName<X>, typeName<Y>));
  for (int i = 0; i < shapes() / 4; ++i) {
    const int64_t rows = pick<int64_t>({1, 2, 5, 6, 7, draw(1, 40), 200}), out = someOutputs(), in = someWidth();
    Weights weights(kind, out, in, normal<float>(out * in), path);
    if (draw(0, 1) == 0) {
      weights.bias = normal<float>(out, 3);
      weights.packed.bias = weights.bias.data();
    }
    const std::vector<X> x = normal<X>(rows * in);
    std::vector<double> exact(static_cast<size_t>(rows * out));
    linearNaive(weights.packed, x.data(), rows, exact.data());
    std::vector<Y> expected;
    for (const double value : exact) expected.push_back(narrowTo<Y>(static_cast<float>(value)));
    check.near(product<X, Y>(weights.packed, x.data(), rows), expected, {3e-6, step<Y>},
               text("%ld rows, %ld outputs of %ld inputs", rows, out, in));
  }
  check.finish();
}

// ---- A row in any batch

template <typename X>
void testBatches(WeightKind kind, const char* name, std::string_view path) {
  const std::string title = text("linear %s %.*s, %s", name, static_cast<int>(path.size()), path.data(), typeName<X>);
  Check batches(title + ": a row in any batch"), threads(title + ": threads");
  for (int i = 0; i < shapes() / 4; ++i) {
    const int64_t out = someOutputs(), in = someWidth(), most = quick ? 80 : pick<int64_t>({64, 130, 450});
    const Weights weights(kind, out, in, normal<float>(out * in), path);
    const std::vector<X> x = normal<X>(most * in);
    const std::vector<float> all = product<X, float>(weights.packed, x.data(), most);
    for (int j = 0; j < 8; ++j) {
      const int64_t rows = pick<int64_t>({1, 1, 2, 3, 6, 7, 16, draw(1, most), most - 1}), first = draw(0, most - rows);
      const std::string shape =
          text("rows %ld and %ld more of %ld, %ld outputs of %ld inputs", first, rows - 1, most, out, in);
      batches.same(product<X, float>(weights.packed, x.data() + first * in, rows),
                   {all.begin() + first * out, all.begin() + (first + rows) * out}, shape);
      sameForAnyThreads(threads, shape, [&] { return product<X, float>(weights.packed, x.data() + first * in, rows); });
    }
    // In half precision the same sums, rounded once.
    std::vector<Bf16> rounded;
    for (const float value : all) rounded.push_back(narrowTo<Bf16>(value));
    batches.same(product<X, Bf16>(weights.packed, x.data(), most), rounded, "rounded to BF16");
    // Which other outputs there are does not matter either.
    const int64_t column = draw(0, out - 1);
    std::vector<float> row(static_cast<size_t>(in)), of;
    unpackRow(weights.packed, column, row.data());
    if (kind == WeightKind::fp32 || kind == WeightKind::bf16) {
      const Weights one(kind, 1, in, row, path);
      for (int64_t r = 0; r < most; ++r) of.push_back(all[r * out + column]);
      batches.same(product<X, float>(one.packed, x.data(), most), of, text("output %ld of %ld alone", column, out));
    }
  }
  for (const Check& check : {batches, threads}) check.finish();
}

// ---- Numbers that are not finite

template <typename X>
void testNotFinite(WeightKind kind, const char* name, std::string_view path) {
  Check check(text("linear %s %.*s, %s: inputs that are not finite", name, static_cast<int>(path.size()), path.data(),
                   typeName<X>));
  const bool blocks = kind == WeightKind::int8 || kind == WeightKind::int4;
  for (int i = 0; i < shapes() / 4; ++i) {
    const int64_t rows = draw(1, 20), out = someOutputs(), in = someWidth(), row = draw(0, rows - 1);
    std::vector<float> positive = normal<float>(out * in);
    for (float& value : positive) value = std::abs(value) + 0.01f;
    const Weights weights(kind, out, in, positive, path);
    const float bad = pick({nan, infinity, -infinity});
    std::vector<X> x = normal<X>(rows * in);
    const std::vector<float> before = product<X, float>(weights.packed, x.data(), rows);
    x[row * in + draw(0, in - 1)] = narrowTo<X>(bad);
    const std::vector<float> after = product<X, float>(weights.packed, x.data(), rows);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t o = 0; o < out; ++o) {
        const float is = after[r * out + o];
        const bool good = r != row                    ? std::memcmp(&is, &before[r * out + o], sizeof is) == 0
                          : blocks || std::isnan(bad) ? std::isnan(is)
                                                      : is == bad;
        check.require(good, text("%g in row %ld makes %g of output %ld of row %ld", bad, row, is, o, r));
      }
    }
  }
  check.finish();
}

// Sums of large numbers that cancel, the smallest normal ones, and the ends of 8 bits.
void testExtremes(WeightKind kind, const char* name, std::string_view path) {
  Check check(text("linear %s %.*s: extreme inputs", name, static_cast<int>(path.size()), path.data()));
  for (const float size : {1e-30f, 1.0f, 1e30f}) {
    for (const int64_t in : {32, 64, 1024}) {
      std::vector<float> rows(static_cast<size_t>(20 * in)), x(static_cast<size_t>(3 * in));
      for (size_t i = 0; i < rows.size(); ++i) rows[i] = i % 3 == 0 ? 1.0f : -1.0f;
      for (size_t i = 0; i < x.size(); ++i) x[i] = (i % 2 == 0 ? size : -size) * (i % 7 == 0 ? 0.5f : 1);
      const Weights weights(kind, 20, in, rows, path);
      std::vector<double> exact(60);
      linearNaive(weights.packed, x.data(), 3, exact.data());
      std::vector<float> expected(exact.begin(), exact.end());
      check.near(product<float, float>(weights.packed, x.data(), 3), expected, {0, 0, 1, 1e-6 * size * in},
                 text("%g, %ld inputs", size, in));
    }
  }
  check.finish();
}

// ---- Packing

// What comes out of the memory is what a kind can hold of what went in.
void testPacking() {
  Check floats("packed weights, FP32 and BF16"), blocks("packed weights, blocks"), refusals("packed weights, refusals");
  for (int i = 0; i < shapes(); ++i) {
    const int64_t out = someOutputs(), in = someWidth(), first = draw(0, out);
    const std::vector<float> rows = normal<float>(out * in);
    const std::vector<Bf16> narrow = normal<Bf16>(out * in);
    Weights wide(WeightKind::fp32, out, in), half(WeightKind::bf16, out, in);
    packRows(wide.packed, 0, first, rows.data());
    packRows(wide.packed, first, out - first, rows.data() + first * in);
    packRows(half.packed, 0, out, narrow.data());
    std::vector<float> wideRow(static_cast<size_t>(in));
    std::vector<Bf16> halfRow(static_cast<size_t>(in));
    for (int64_t o = 0; o < out; ++o) {
      unpackRow(wide.packed, o, wideRow.data());
      unpackRow(half.packed, o, halfRow.data());
      floats.same(wideRow, {rows.begin() + o * in, rows.begin() + (o + 1) * in}, text("row %ld", o));
      floats.same(halfRow, {narrow.begin() + o * in, narrow.begin() + (o + 1) * in}, text("row %ld", o));
    }
  }
  for (const auto& [kind, type] : {std::pair{WeightKind::int8, "Q8_0"}, std::pair{WeightKind::int4, "Q4_0"}}) {
    for (int i = 0; i < shapes() / 2; ++i) {
      const int64_t out = someOutputs(), in = 32 * draw(1, 12);
      const std::vector<float> rows = normal<float>(out * in);
      std::vector<uint8_t> given(static_cast<size_t>(out * in / 32 * blockBytes(type)));
      quantize(type, rows.data(), given.data(), out * in);
      std::vector<float> expected(static_cast<size_t>(out * in)), found(expected.size());
      dequantize(type, given.data(), expected.data(), out * in);
      Weights fromBlocks(kind, out, in), fromFloats(kind, out, in, rows, {});
      packBlocks(fromBlocks.packed, 0, out, given.data());
      blocks.same(fromBlocks.bytes(), fromFloats.bytes(), "blocks and the floats that they were made of");
      for (int64_t o = 0; o < out; ++o) unpackRow(fromBlocks.packed, o, found.data() + o * in);
      blocks.same(found, expected, text("%s, %ld rows of %ld", type, out, in));
    }
    const auto refused = [&](auto call) {
      try {
        call();
      } catch (const std::invalid_argument&) {
        return true;
      }
      return false;
    };
    Weights weights(kind, 4, 40);
    std::vector<float> rows(160, 1);
    const std::vector<uint8_t> some(400);
    refusals.require(refused([&] { packBlocks(weights.packed, 0, 4, some.data()); }), "rows that are not whole blocks");
    refusals.require(refused([&] { packRows(weights.packed, 3, 2, rows.data()); }), "a row too many");
    for (const float bad : {nan, infinity, -infinity, 1e30f}) {
      rows[77] = bad;
      refusals.require(refused([&] { packRows(weights.packed, 0, 4, rows.data()); }), text("a weight of %g", bad));
    }
    weights.packed.path = "avx9";
    refusals.require(refused([&] { product<float, float>(weights.packed, rows.data(), 1); }),
                     "a path that is not there");
  }
  for (const Check& check : {floats, blocks, refusals}) check.finish();
}

}  // namespace

void testLinear() {
  testPacking();
  for (const auto& [kind, name] : kinds) {
    for (const std::string_view path : linearPaths(kind)) {
      testValues<float, float>(kind, name, path);
      testValues<Bf16, Bf16>(kind, name, path);
      testBatches<float>(kind, name, path);
      testBatches<Bf16>(kind, name, path);
      testNotFinite<float>(kind, name, path);
      testNotFinite<Bf16>(kind, name, path);
      testExtremes(kind, name, path);
    }
  }
}

}  // namespace bt::testing
