// Randomness as a function of its counters, never a running state: the same (seed, purpose, ...) gives the same draw
// after a resume, in another order, or among other neighbours.
#pragma once
#include <cstdint>

namespace bt {

// Keeps the streams of different uses apart.
enum class Purpose : uint64_t { loraInit = 1, dropout = 2, sampling = 3 };

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection whose output bits all depend on all input bits.
inline uint64_t mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// One key out of several counters.
inline uint64_t mixKey(uint64_t seed, Purpose purpose, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0) {
  return mix64(mix64(mix64(mix64(seed ^ static_cast<uint64_t>(purpose) << 56) ^ a) ^ b) ^ c);
}

// Uniform in [0, 1) with 24 and with 53 bits.
inline float uniformFloat(uint64_t bits) { return static_cast<float>(bits >> 40) * 0x1p-24f; }
inline double uniformDouble(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

}  // namespace bt
