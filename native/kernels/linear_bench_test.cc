// Products of packed weights beside MKL's, for `kernels_test --bench-linear`: with one row the share of the memory's
// bandwidth counts, with many the arithmetic.
#include <chrono>
#include <cstdlib>

#include "kernels/linear.h"
#include "kernels/logits.h"
#include "kernels/parallel.h"
#include "kernels/testing.h"

namespace bt::testing {

namespace {

using Clock = std::chrono::steady_clock;

// More than any cache holds: as in a model, weights come from memory anew for each product.
constexpr int64_t coldBytes = int64_t{128} << 20;

double secondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Seconds of a call, on average over 20 ms.
double secondsOf(const std::function<void()>& call) {
  const auto start = Clock::now();
  double seconds = 0;
  int calls = 0;
  for (; seconds < 0.02; ++calls, seconds = secondsSince(start)) call();
  return seconds / calls;
}

// Bytes a second that all threads read together.
double readBandwidth() {
  static const std::vector<uint64_t> memory(2 * coldBytes / 8, 1);
  std::vector<double> rates;
  for (int round = 0; round < 7; ++round) {
    const auto start = Clock::now();
    volatile uint64_t kept = 0;
    parallelRows(static_cast<int64_t>(memory.size()), [&](int64_t begin, int64_t end) {
      uint64_t sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = begin; i < end; ++i) sum += memory[i];
      kept = kept + sum;
    });
    rates.push_back(2 * coldBytes / secondsSince(start));
  }
  return median(rates);
}

// Copies of something of `bytes` bytes, of which each call takes the next.
class Cold {
 public:
  explicit Cold(int64_t bytes) : bytes_(bytes), count_(std::max<int64_t>(1, coldBytes / bytes)) {
    memory_.resize(static_cast<size_t>(bytes_ * count_ + 64), 0);
  }
  uint8_t* first() { return memory_.data() + (64 - reinterpret_cast<uintptr_t>(memory_.data()) % 64) % 64; }
  void repeat() {
    for (int64_t i = 1; i < count_; ++i) std::memcpy(first() + i * bytes_, first(), static_cast<size_t>(bytes_));
  }
  uint8_t* next() { return first() + turn_++ % count_ * bytes_; }

 private:
  int64_t bytes_, count_, turn_ = 0;
  std::vector<uint8_t> memory_;
};

struct Shape {
  int64_t in, out;
};

template <typename T>
void benchShape(WeightKind kind, const char* name, Shape shape) {
  const auto [in, out] = shape;
  const std::vector<T> rows = normal<T>(in * out, 0.05f);
  const int64_t bytes = packedBytes(kind, out, in);
  Cold packed(bytes), plain(in * out * static_cast<int64_t>(sizeof(T)));
  PackedWeight weight{kind, out, in, packed.first()};
  packRows(weight, 0, out, rows.data());
  packed.repeat();
  std::memcpy(plain.first(), rows.data(), rows.size() * sizeof(T));
  plain.repeat();
  for (const int64_t count : {1, 4, 16, 64, 512, 2048}) {
    if (count * out > 8'000'000) continue;
    const std::vector<T> x = normal<T>(count * in);
    std::vector<float> y(static_cast<size_t>(count * out));
    std::vector<double> ours, others;
    for (int round = 0; round < 7; ++round) {
      ours.push_back(secondsOf([&] {
        weight.data = packed.next();
        linear(weight, x.data(), count, y.data());
      }));
      others.push_back(secondsOf([&] {
        gemmNT(count, out, in, x.data(), in, reinterpret_cast<const T*>(plain.next()), in, 0, y.data(), out);
      }));
    }
    const double seconds = median(ours), other = median(others);
    const double operations = 2.0 * static_cast<double>(count * in * out);
    std::printf("linear %s %5ld -> %5ld, %4ld rows %10.1f us %6.1f GB/s %7.3f TFLOP/s   MKL %10.1f us %5.2f times",
                name, in, out, count, seconds * 1e6, static_cast<double>(bytes) / seconds / 1e9,
                operations / seconds / 1e12, other * 1e6, other / seconds);
    if (count == 1) {
      const double bandwidth = readBandwidth();
      std::printf("   %3.0f %% of %.1f GB/s", 100 * static_cast<double>(bytes) / seconds / bandwidth, bandwidth / 1e9);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
}

// Each way of computing that this processor has, at one row and at many.
template <typename T>
void benchPaths(WeightKind kind, const char* name) {
  const int64_t in = 576, out = 1536, many = 64;
  const std::vector<T> rows = normal<T>(in * out, 0.05f), x = normal<T>(many * in);
  const int64_t bytes = packedBytes(kind, out, in);
  Cold packed(bytes);
  PackedWeight weight{kind, out, in, packed.first()};
  packRows(weight, 0, out, rows.data());
  packed.repeat();
  std::vector<float> y(static_cast<size_t>(many * out));
  for (const std::string_view path : linearPaths(kind)) {
    weight.path = path;
    const auto seconds = [&](int64_t count) {
      return secondsOf([&] {
        weight.data = packed.next();
        linear(weight, x.data(), count, y.data());
      });
    };
    const double one = seconds(1), all = seconds(many);
    std::printf("linear %s by %-10s 1 row %6.1f GB/s, %ld rows %7.3f TFLOP/s\n", name, std::string(path).c_str(),
                static_cast<double>(bytes) / one / 1e9, many, 2.0 * many * in * out / all / 1e12);
    std::fflush(stdout);
  }
}

}  // namespace

void benchLinear() {
  for (const Shape shape : {Shape{576, 1536}, {1536, 576}, {576, 576}, {576, 49152}, {2048, 5632}}) {
    benchShape<Bf16>(WeightKind::bf16, "bf16", shape);
    benchShape<float>(WeightKind::fp32, "fp32", shape);
    benchShape<Bf16>(WeightKind::int8, "int8", shape);
    benchShape<Bf16>(WeightKind::int4, "int4", shape);
  }
  benchPaths<Bf16>(WeightKind::bf16, "bf16");
  benchPaths<float>(WeightKind::fp32, "fp32");
  benchPaths<Bf16>(WeightKind::int8, "int8");
  benchPaths<Bf16>(WeightKind::int4, "int4");
}

}  // namespace bt::testing
