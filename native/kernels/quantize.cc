#include "kernels/quantize.h"

#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kernels/element.h"
#include "kernels/parallel.h"

namespace bt {
namespace {

constexpr int kElements = 32;  // of a block of either type

void storeHalf(float x, uint8_t* p) {
  const Fp16 half = narrowTo<Fp16>(x);
  std::memcpy(p, &half.bits, 2);
}

// The element of largest magnitude, the first of several, with its sign.
float extreme(const float* x) {
  float most = 0, found = 0;
  for (int j = 0; j < kElements; j++) {
    const float magnitude = std::fabs(x[j]);
    found = magnitude > most ? x[j] : found;
    most = magnitude > most ? magnitude : most;
  }
  return found;
}

// To the nearest integer, halves away from zero: roundf, written so that compilers vectorise it.
int nearest(float x) {
  const int whole = static_cast<int>(x);
  const float rest = x - static_cast<float>(whole);
  return whole + (rest >= 0.5f) - (rest <= -0.5f);
}

// half d = max |x| / 127, 32 signed bytes: x / d
void packQ8_0(const float* x, uint8_t* b) {
  float most = 0;
  for (int j = 0; j < kElements; j++) most = std::fmax(most, std::fabs(x[j]));
  const float d = most / 127;
  const float inverse = d != 0 ? 1 / d : 0;
  storeHalf(d, b);
  for (int j = 0; j < kElements; j++) b[2 + j] = static_cast<uint8_t>(nearest(x[j] * inverse));
}

// half d, so that the element of largest magnitude becomes -8; 16 bytes: element j in the low nibble of byte j, j + 16
// in the high one, each x / d + 8, at most 15
void packQ4_0(const float* x, uint8_t* b) {
  const float d = extreme(x) / -8;
  const float inverse = d != 0 ? 1 / d : 0;
  storeHalf(d, b);
  const auto nibble = [inverse](float value) {
    const int q = static_cast<int>(value * inverse + 8.5f);
    return q > 15 ? 15 : q;
  };
  for (int j = 0; j < 16; j++) b[2 + j] = static_cast<uint8_t>(nibble(x[j]) | nibble(x[j + 16]) << 4);
}

// Byte `at` of the block made of x.
uint8_t naiveQ8_0(const float* x, int at) {
  const float d = std::fabs(extreme(x)) / 127;
  if (at < 2) return static_cast<uint8_t>(narrowTo<Fp16>(d).bits >> (8 * at));
  return static_cast<uint8_t>(static_cast<int8_t>(std::round(d == 0 ? 0 : x[at - 2] * (1 / d))));
}

uint8_t naiveQ4_0(const float* x, int at) {
  const float d = extreme(x) / -8;
  if (at < 2) return static_cast<uint8_t>(narrowTo<Fp16>(d).bits >> (8 * at));
  const auto nibble = [&](int element) {
    return std::fmin(15.0f, std::trunc((d == 0 ? 0 : x[element] * (1 / d)) + 8.5f));
  };
  return static_cast<uint8_t>(nibble(at - 2) + 16 * nibble(at + 14));
}

struct PackedType {
  std::string_view name;
  int bytes;
  float limit;
  void (*pack)(const float*, uint8_t*);
  uint8_t (*naive)(const float*, int);
};

constexpr float kLargestHalf = 65504;
constexpr PackedType packedTypes[] = {
    {"Q8_0", 34, 127 * kLargestHalf, packQ8_0, naiveQ8_0},
    {"Q4_0", 18, 8 * kLargestHalf, packQ4_0, naiveQ4_0},
};

const PackedType& require(std::string_view name) {
  for (const PackedType& type : packedTypes) {
    if (type.name == name) return type;
  }
  throw std::invalid_argument("not a type that is packed here: " + std::string(name));
}

const PackedType& requireWhole(std::string_view name, int64_t elements) {
  const PackedType& type = require(name);
  if (elements < 0 || elements % kElements != 0) {
    throw std::invalid_argument(std::to_string(elements) + " elements are not whole blocks of " + std::string(name));
  }
  return type;
}

}  // namespace

void quantize(std::string_view name, const float* src, uint8_t* dst, int64_t elements) {
  const PackedType& type = requireWhole(name, elements);
  parallelRows(elements / kElements, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; block++) type.pack(src + block * kElements, dst + block * type.bytes);
  });
}

void quantizeNaive(std::string_view name, const float* src, uint8_t* dst, int64_t elements) {
  const PackedType& type = requireWhole(name, elements);
  for (int64_t block = 0; block < elements / kElements; block++) {
    for (int at = 0; at < type.bytes; at++) dst[block * type.bytes + at] = type.naive(src + block * kElements, at);
  }
}

float quantizeLimit(std::string_view type) { return require(type).limit; }

}  // namespace bt
