#include "kernels/dequant.h"

#include <array>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kernels/parallel.h"

namespace bt {
namespace {

// IEEE half at p (little-endian, unaligned) to float. Infinities and NaNs stay what they are.
float half(const uint8_t* p) {
  const uint32_t bits = static_cast<uint32_t>(p[0]) | static_cast<uint32_t>(p[1]) << 8;
  const uint32_t sign = (bits & 0x8000u) << 16;
  const uint32_t rest = bits & 0x7fffu;
  if (rest >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  if (rest >= 0x0400u) return std::bit_cast<float>(sign | ((rest << 13) + (112u << 23)));
  const float magnitude = static_cast<float>(rest) * 0x1p-24f;  // subnormal
  return sign != 0 ? -magnitude : magnitude;
}

int low(uint8_t byte) { return byte & 15; }
int high(uint8_t byte) { return byte >> 4; }

// The fast expansions: one block each.

// half d, 16 bytes: element j in the low nibble of byte j, j + 16 in the high one; (q - 8) d
void expandQ4_0(const uint8_t* b, float* y) {
  const float d = half(b);
  for (int j = 0; j < 16; j++) {
    y[j] = static_cast<float>(low(b[2 + j]) - 8) * d;
    y[j + 16] = static_cast<float>(high(b[2 + j]) - 8) * d;
  }
}

// half d, half m, 16 bytes as above; q d + m
void expandQ4_1(const uint8_t* b, float* y) {
  const float d = half(b), m = half(b + 2);
  for (int j = 0; j < 16; j++) {
    y[j] = static_cast<float>(low(b[4 + j])) * d + m;
    y[j + 16] = static_cast<float>(high(b[4 + j])) * d + m;
  }
}

uint32_t word(const uint8_t* p) {
  uint32_t value;
  std::memcpy(&value, p, 4);
  return value;
}

// half d, 32 fifth bits, 16 bytes; (q - 16) d
void expandQ5_0(const uint8_t* b, float* y) {
  const float d = half(b);
  const uint32_t fifth = word(b + 2);
  for (int j = 0; j < 16; j++) {
    y[j] = static_cast<float>((low(b[6 + j]) | static_cast<int>(fifth >> j & 1) << 4) - 16) * d;
    y[j + 16] = static_cast<float>((high(b[6 + j]) | static_cast<int>(fifth >> (j + 16) & 1) << 4) - 16) * d;
  }
}

// half d, half m, 32 fifth bits, 16 bytes; q d + m
void expandQ5_1(const uint8_t* b, float* y) {
  const float d = half(b), m = half(b + 2);
  const uint32_t fifth = word(b + 4);
  for (int j = 0; j < 16; j++) {
    y[j] = static_cast<float>(low(b[8 + j]) | static_cast<int>(fifth >> j & 1) << 4) * d + m;
    y[j + 16] = static_cast<float>(high(b[8 + j]) | static_cast<int>(fifth >> (j + 16) & 1) << 4) * d + m;
  }
}

// half d, 32 signed bytes; q d
void expandQ8_0(const uint8_t* b, float* y) {
  const float d = half(b);
  for (int j = 0; j < 32; j++) y[j] = static_cast<float>(static_cast<int8_t>(b[2 + j])) * d;
}

// 16 bytes of (scale, min) nibbles, 64 bytes of 2-bit values, half d, half dmin. Half of a block (128 elements) lies in
// 32 bytes, its four runs of 32 elements in bit pairs 0 to 3; each 16 elements have their scale.
void expandQ2_K(const uint8_t* b, float* y) {
  const uint8_t* scales = b;
  const uint8_t* q = b + 16;
  const float d = half(b + 80), dmin = half(b + 82);
  for (int part = 0; part < 2; part++, q += 32) {
    for (int shift = 0; shift < 8; shift += 2) {
      for (int run = 0; run < 2; run++, y += 16) {
        const float scale = d * static_cast<float>(low(*scales)), min = dmin * static_cast<float>(high(*scales));
        scales++;
        for (int l = 0; l < 16; l++) y[l] = scale * static_cast<float>(q[16 * run + l] >> shift & 3) - min;
      }
    }
  }
}

// The 16 six-bit scales of Q3_K from their 12 bytes: four low bits in bytes 0 to 7, two high ones in bytes 8 to 11.
std::array<int, 16> scalesQ3_K(const uint8_t* s) {
  std::array<int, 16> scales;
  for (int i = 0; i < 16; i++) {
    const int lower = i < 8 ? low(s[i]) : high(s[i - 8]);
    scales[static_cast<size_t>(i)] = (lower | (s[8 + i % 4] >> (2 * (i / 4)) & 3) << 4) - 32;
  }
  return scales;
}

// 32 bytes of third bits, 64 bytes of 2-bit values (as Q2_K), 12 bytes of scales, half d; (q - 4 unless third bit) d s
void expandQ3_K(const uint8_t* b, float* y) {
  const uint8_t* q = b + 32;
  const std::array<int, 16> scales = scalesQ3_K(b + 96);
  const float d = half(b + 108);
  size_t scale = 0;
  int bit = 0;
  for (int part = 0; part < 2; part++, q += 32) {
    for (int shift = 0; shift < 8; shift += 2, bit++) {
      for (int run = 0; run < 2; run++, y += 16) {
        const float dl = d * static_cast<float>(scales[scale++]);
        for (int l = 0; l < 16; l++) {
          const int i = 16 * run + l;
          y[l] = dl * static_cast<float>((q[i] >> shift & 3) - ((b[i] >> bit & 1) != 0 ? 0 : 4));
        }
      }
    }
  }
}

struct ScaleMin {
  int scale, min;
};

// Six-bit scale and min number j of 8 from the 12 bytes of Q4_K and Q5_K.
ScaleMin scaleMin(int j, const uint8_t* s) {
  if (j < 4) return {s[j] & 63, s[j + 4] & 63};
  return {low(s[j + 4]) | s[j - 4] >> 6 << 4, high(s[j + 4]) | s[j] >> 6 << 4};
}

// half d, half dmin, 12 bytes of scales and mins, 128 bytes: 64 elements in 32 bytes, low nibbles first
void expandQ4_K(const uint8_t* b, float* y) {
  const float d = half(b), dmin = half(b + 2);
  const uint8_t* q = b + 16;
  for (int part = 0; part < 4; part++, q += 32, y += 64) {
    const ScaleMin first = scaleMin(2 * part, b + 4), second = scaleMin(2 * part + 1, b + 4);
    const float d1 = d * static_cast<float>(first.scale), m1 = dmin * static_cast<float>(first.min);
    const float d2 = d * static_cast<float>(second.scale), m2 = dmin * static_cast<float>(second.min);
    for (int l = 0; l < 32; l++) {
      y[l] = d1 * static_cast<float>(low(q[l])) - m1;
      y[l + 32] = d2 * static_cast<float>(high(q[l])) - m2;
    }
  }
}

// As Q4_K, with 32 bytes of fifth bits before the nibbles: bit 2 * part for low nibbles, 2 * part + 1 for high ones
void expandQ5_K(const uint8_t* b, float* y) {
  const float d = half(b), dmin = half(b + 2);
  const uint8_t* fifth = b + 16;
  const uint8_t* q = b + 48;
  for (int part = 0; part < 4; part++, q += 32, y += 64) {
    const ScaleMin first = scaleMin(2 * part, b + 4), second = scaleMin(2 * part + 1, b + 4);
    const float d1 = d * static_cast<float>(first.scale), m1 = dmin * static_cast<float>(first.min);
    const float d2 = d * static_cast<float>(second.scale), m2 = dmin * static_cast<float>(second.min);
    for (int l = 0; l < 32; l++) {
      const int bits = fifth[l] >> (2 * part);
      y[l] = d1 * static_cast<float>(low(q[l]) | (bits & 1) << 4) - m1;
      y[l + 32] = d2 * static_cast<float>(high(q[l]) | (bits >> 1 & 1) << 4) - m2;
    }
  }
}

// 128 bytes of low nibbles, 64 bytes of two high bits, 16 signed scales, half d; (q - 32) d s. Half of a block:
// 64 bytes of nibbles, 32 of high bits, four runs of 32 elements.
void expandQ6_K(const uint8_t* b, float* y) {
  const float d = half(b + 208);
  for (int part = 0; part < 2; part++, y += 128) {
    const uint8_t* lower = b + 64 * part;
    const uint8_t* upper = b + 128 + 32 * part;
    const uint8_t* scales = b + 192 + 8 * part;
    for (int run = 0; run < 4; run++) {
      const uint8_t* nibbles = lower + 32 * (run % 2);
      for (int l = 0; l < 32; l++) {
        const int q = (run < 2 ? low(nibbles[l]) : high(nibbles[l])) | (upper[l] >> (2 * run) & 3) << 4;
        const float scale = d * static_cast<float>(static_cast<int8_t>(scales[2 * run + l / 16]));
        y[32 * run + l] = scale * static_cast<float>(q - 32);
      }
    }
  }
}

// The definitions: element i of a block, i from 0.

double naiveQ4_0(const uint8_t* b, int i) { return ((i < 16 ? low(b[2 + i]) : high(b[2 + i - 16])) - 8.0) * half(b); }

double naiveQ4_1(const uint8_t* b, int i) {
  return static_cast<double>(i < 16 ? low(b[4 + i]) : high(b[4 + i - 16])) * half(b) + half(b + 2);
}

// Bit i of a little-endian row of bits.
int bitOf(const uint8_t* bits, int i) { return bits[i / 8] >> (i % 8) & 1; }

double naiveQ5_0(const uint8_t* b, int i) {
  const int nibble = i < 16 ? low(b[6 + i]) : high(b[6 + i - 16]);
  return (nibble + 16 * bitOf(b + 2, i) - 16.0) * half(b);
}

double naiveQ5_1(const uint8_t* b, int i) {
  const int nibble = i < 16 ? low(b[8 + i]) : high(b[8 + i - 16]);
  return (nibble + 16.0 * bitOf(b + 4, i)) * half(b) + half(b + 2);
}

double naiveQ8_0(const uint8_t* b, int i) { return static_cast<double>(static_cast<int8_t>(b[2 + i])) * half(b); }

// The two-bit value of element i in 64 bytes: 128 elements in 32 bytes, 32 elements in each bit pair.
int twoBits(const uint8_t* q, int i) { return q[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3; }

double naiveQ2_K(const uint8_t* b, int i) {
  const uint8_t scale = b[i / 16];
  return static_cast<double>(half(b + 80)) * low(scale) * twoBits(b + 16, i) -
         static_cast<double>(half(b + 82)) * high(scale);
}

double naiveQ3_K(const uint8_t* b, int i) {
  const int s = i / 16;
  const uint8_t* scales = b + 96;
  const int lower = s < 8 ? scales[s] & 15 : scales[s - 8] >> 4;
  const int upper = scales[8 + s % 4] >> (s / 4 * 2) & 3;
  const int third = b[i % 32] >> (i / 32) & 1;
  return static_cast<double>(half(b + 108)) * (lower + 16 * upper - 32) * (twoBits(b + 32, i) + 4 * third - 4);
}

// Element i of nibbles that hold 64 elements in 32 bytes, the low ones first.
int runNibble(const uint8_t* q, int i) {
  const uint8_t byte = q[i / 64 * 32 + i % 32];
  return i % 64 < 32 ? low(byte) : high(byte);
}

double naiveQ4_K(const uint8_t* b, int i) {
  const ScaleMin s = scaleMin(i / 32, b + 4);
  return static_cast<double>(half(b)) * s.scale * runNibble(b + 16, i) - static_cast<double>(half(b + 2)) * s.min;
}

double naiveQ5_K(const uint8_t* b, int i) {
  const ScaleMin s = scaleMin(i / 32, b + 4);
  const int q = runNibble(b + 48, i) + 16 * (b[16 + i % 32] >> (i / 32) & 1);
  return static_cast<double>(half(b)) * s.scale * q - static_cast<double>(half(b + 2)) * s.min;
}

double naiveQ6_K(const uint8_t* b, int i) {
  const uint8_t byte = b[i / 128 * 64 + i % 64];
  const int nibble = i % 128 < 64 ? low(byte) : high(byte);
  const int upper = b[128 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
  const int scale = static_cast<int8_t>(b[192 + i / 16]);
  return static_cast<double>(half(b + 208)) * scale * (nibble + 16 * upper - 32);
}

struct BlockType {
  std::string_view name;
  int elements;
  int bytes;
  void (*expand)(const uint8_t*, float*);
  double (*naive)(const uint8_t*, int);
};

constexpr std::array<BlockType, 10> blockTypes = {{
    {"Q4_0", 32, 18, expandQ4_0, naiveQ4_0},
    {"Q4_1", 32, 20, expandQ4_1, naiveQ4_1},
    {"Q5_0", 32, 22, expandQ5_0, naiveQ5_0},
    {"Q5_1", 32, 24, expandQ5_1, naiveQ5_1},
    {"Q8_0", 32, 34, expandQ8_0, naiveQ8_0},
    {"Q2_K", 256, 84, expandQ2_K, naiveQ2_K},
    {"Q3_K", 256, 110, expandQ3_K, naiveQ3_K},
    {"Q4_K", 256, 144, expandQ4_K, naiveQ4_K},
    {"Q5_K", 256, 176, expandQ5_K, naiveQ5_K},
    {"Q6_K", 256, 210, expandQ6_K, naiveQ6_K},
}};

const BlockType* find(std::string_view name) {
  for (const BlockType& type : blockTypes) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

const BlockType& require(std::string_view name) {
  const BlockType* type = find(name);
  if (type == nullptr) throw std::invalid_argument("not a block type: " + std::string(name));
  return *type;
}

const BlockType& requireWhole(std::string_view name, int64_t elements) {
  const BlockType& type = require(name);
  if (elements < 0 || elements % type.elements != 0) {
    throw std::invalid_argument(std::to_string(elements) + " elements are not whole blocks of " + std::string(name));
  }
  return type;
}

}  // namespace

bool isBlockType(std::string_view type) { return find(type) != nullptr; }

int64_t blockBytes(std::string_view type) { return require(type).bytes; }

int64_t blockElements(std::string_view type) { return require(type).elements; }

void dequantize(std::string_view name, const uint8_t* src, float* dst, int64_t elements) {
  const BlockType& type = requireWhole(name, elements);
  parallelRows(elements / type.elements, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; block++) {
      type.expand(src + block * type.bytes, dst + block * type.elements);
    }
  });
}

void dequantizeNaive(std::string_view name, const uint8_t* src, float* dst, int64_t elements) {
  const BlockType& type = requireWhole(name, elements);
  for (int64_t i = 0; i < elements; i++) {
    const uint8_t* block = src + i / type.elements * type.bytes;
    dst[i] = static_cast<float>(type.naive(block, static_cast<int>(i % type.elements)));
  }
}

}  // namespace bt
