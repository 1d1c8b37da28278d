// Holds quantize and quantizeNaive to the bytes that the `gguf` package makes of the same floats, and to each other on
// more of them.
// Usage: quantize_test FIXTURE    (test/fixtures/models/quantize.bin; its script tells the format)
// Prints a line for each type; exit code 1 when a byte differs.
#include "kernels/quantize.h"

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

using Pack = void (*)(std::string_view, const float*, uint8_t*, int64_t);

std::vector<uint8_t> packed(Pack pack, const std::string& type, const std::vector<float>& values) {
  const auto elements = static_cast<int64_t>(values.size());
  std::vector<uint8_t> bytes(static_cast<size_t>(elements / bt::blockElements(type) * bt::blockBytes(type)));
  pack(type, values.data(), bytes.data(), elements);
  return bytes;
}

size_t differing(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  size_t count = a.size() == b.size() ? 0 : a.size();
  for (size_t i = 0; i < a.size() && i < b.size(); i++) count += a[i] != b[i];
  return count;
}

// Values of all magnitudes, many of them at halves between two steps of their block.
std::vector<float> randomValues(size_t elements) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> values(elements);
  for (size_t i = 0; i < elements; i += 32) {
    const float scale = std::exp(4 * normal(random));
    for (size_t j = i; j < i + 32; j++) {
      const float value = normal(random);
      values[j] = scale * (i % 64 == 0 ? std::round(2 * value) / 2 : value);
    }
  }
  return values;
}

bool refuses(const char* type, int64_t elements) {
  const float nothing = 0;
  uint8_t unused = 0;
  try {
    bt::quantize(type, &nothing, &unused, elements);
  } catch (const std::invalid_argument&) {
    return true;
  }
  return false;
}

// Whether the largest value that fits comes back, and the next one above would not be finite.
bool limitHolds(const std::string& type) {
  std::vector<float> values(32, 0.0f), back(32);
  values[3] = -bt::quantizeLimit(type);
  const auto bytes = packed(bt::quantize, type, values);
  bt::dequantize(type, bytes.data(), back.data(), 32);
  return std::isfinite(back[3]) && std::fabs(back[3] / values[3] - 1) < 1e-3;
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
    const std::vector<float> values = reader.take<float>(elements);
    const auto expected = reader.take<uint8_t>(elements / static_cast<size_t>(bt::blockElements(type)) *
                                               static_cast<size_t>(bt::blockBytes(type)));
    const std::vector<float> more = randomValues(1 << 16);
    const size_t fast = differing(packed(bt::quantize, type, values), expected);
    const size_t naive = differing(packed(bt::quantizeNaive, type, values), expected);
    const size_t apart = differing(packed(bt::quantize, type, more), packed(bt::quantizeNaive, type, more));
    const bool good = fast == 0 && naive == 0 && apart == 0 && limitHolds(type);
    std::printf("%s %s bytes that differ: fast %zu naive %zu of %zu, apart %zu\n", good ? "ok" : "FAILED", type.c_str(),
                fast, naive, expected.size(), apart);
    if (!good) failed++;
  }
  const bool refused = refuses("Q4_0", 33) && refuses("Q6_K", 256) && refuses("F16", 32);
  std::printf("%s refusals\n", refused ? "ok" : "FAILED");
  return failed == 0 && refused ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 2) throw std::runtime_error("usage: quantize_test FIXTURE");
    return run(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
