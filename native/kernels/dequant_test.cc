// Holds dequantize and dequantizeNaive to what the `gguf` package makes of the same blocks.
// Usage: dequant_test FIXTURE    (test/fixtures/models/dequant.bin; its script tells the format)
// Prints a line for each type; exit code 1 when one differs.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/dequant.h"

namespace {

struct Reader {
  std::vector<char> bytes;
  size_t at = 0;

  template <typename T>
  std::vector<T> take(size_t count) {
    if (count * sizeof(T) > bytes.size() - at) throw std::runtime_error("the fixture is cut short");
    std::vector<T> values(count);
    std::memcpy(values.data(), bytes.data() + at, count * sizeof(T));
    at += count * sizeof(T);
    return values;
  }
};

// Largest difference, relative to the largest expected value.
double difference(const std::vector<float>& found, const std::vector<float>& expected) {
  double worst = 0, largest = 0;
  for (size_t i = 0; i < found.size(); i++) {
    worst = std::max(worst, std::abs(static_cast<double>(found[i]) - expected[i]));
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
  }
  return worst / largest;
}

bool refuses(const char* type, int64_t elements) {
  float unused = 0;
  const uint8_t nothing = 0;
  try {
    bt::dequantize(type, &nothing, &unused, elements);
  } catch (const std::invalid_argument&) {
    return true;
  }
  return false;
}

// Any bytes are blocks. Both paths agree on what they stand for; buffers have exactly their size, so that sanitizers
// see a step beyond.
bool expandsAnything(const char* type, std::mt19937& random) {
  const int64_t elements = bt::blockElements(type) * static_cast<int64_t>(1 + random() % 3);
  const int64_t bytes = elements / bt::blockElements(type) * bt::blockBytes(type);
  std::vector<uint8_t> blocks(static_cast<size_t>(bytes));
  for (uint8_t& byte : blocks) byte = static_cast<uint8_t>(random());
  std::vector<float> fast(static_cast<size_t>(elements)), naive(fast.size());
  bt::dequantize(type, blocks.data(), fast.data(), elements);
  bt::dequantizeNaive(type, blocks.data(), naive.data(), elements);
  for (size_t i = 0; i < fast.size(); i++) {
    // The two terms of an element are below 2^26 (a half times 63 times 31), so FP32 rounds away less than this.
    const bool finite = std::isfinite(fast[i]) && std::isfinite(naive[i]);
    const bool same = finite ? std::abs(fast[i] - naive[i]) <= 16 : !std::isfinite(fast[i]) && !std::isfinite(naive[i]);
    if (!same) return false;
  }
  return true;
}

// Millions of elements that the fast path expands in a second, for the record.
double speed(const std::string& type, const std::vector<uint8_t>& blocks, int64_t elements) {
  const int64_t copies = 4096;
  std::vector<uint8_t> src;
  for (int64_t i = 0; i < copies; i++) src.insert(src.end(), blocks.begin(), blocks.end());
  std::vector<float> dst(static_cast<size_t>(elements * copies));
  bt::dequantize(type, src.data(), dst.data(), elements * copies);
  const auto start = std::chrono::steady_clock::now();
  bt::dequantize(type, src.data(), dst.data(), elements * copies);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (std::memcmp(dst.data(), dst.data() + elements * (copies - 1), static_cast<size_t>(elements) * 4) != 0) {
    throw std::runtime_error("equal blocks expanded differently");
  }
  return static_cast<double>(elements * copies) / seconds.count() / 1e6;
}

int run(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(std::string(path) + ": cannot be opened");
  Reader reader{{std::istreambuf_iterator<char>(file), {}}};
  int failed = 0;
  while (reader.at < reader.bytes.size()) {
    const std::vector<char> name = reader.take<char>(reader.take<uint32_t>(1)[0]);
    const std::string type(name.begin(), name.end());
    const size_t elements = reader.take<uint64_t>(1)[0];
    const size_t bytes =
        elements / static_cast<size_t>(bt::blockElements(type)) * static_cast<size_t>(bt::blockBytes(type));
    const std::vector<uint8_t> blocks = reader.take<uint8_t>(bytes);
    const std::vector<float> expected = reader.take<float>(elements);
    std::vector<float> fast(elements), naive(elements);
    bt::dequantize(type, blocks.data(), fast.data(), static_cast<int64_t>(elements));
    bt::dequantizeNaive(type, blocks.data(), naive.data(), static_cast<int64_t>(elements));
    const double fastError = difference(fast, expected), naiveError = difference(naive, expected);
    const bool good = fastError <= 1e-6 && naiveError <= 1e-6;
    std::printf("%s %s fast %.1e naive %.1e, %.0f million/s\n", good ? "ok" : "FAILED", type.c_str(), fastError,
                naiveError, speed(type, blocks, static_cast<int64_t>(elements)));
    if (!good) failed++;
  }
  std::mt19937 random(1);
  bool anything = true;
  for (const char* type : {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"}) {
    for (int i = 0; i < 500; i++) anything = expandsAnything(type, random) && anything;
  }
  std::printf("%s any bytes\n", anything ? "ok" : "FAILED");
  const bool refused = refuses("Q4_0", 33) && refuses("Q6_K", 32) && refuses("Q4_9", 32) && !bt::isBlockType("F16");
  std::printf("%s refusals\n", refused ? "ok" : "FAILED");
  return failed == 0 && anything && refused ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 2) throw std::runtime_error("usage: dequant_test FIXTURE");
    return run(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
