// Tiles for any processor.
#include <string.h>

#include "kernels/element.h"
#include "kernels/linear_tiles.h"

namespace bt::baseline {

namespace {

struct Vectors {
  struct Floats {
    float of[layout::lanes];
  };
  static inline Floats zero() { return {}; }
  static inline Floats load(const float* from) {
    Floats to;
    memcpy(to.of, from, sizeof to.of);
    return to;
  }
  static inline void store(float* to, const Floats& x) { memcpy(to, x.of, sizeof x.of); }
  static inline Floats broadcast(float x) {
    Floats to;
    for (float& lane : to.of) lane = x;
    return to;
  }
  static inline Floats halves(const uint8_t* from) {
    Fp16 given[layout::lanes];
    memcpy(given, from, sizeof given);
    Floats to;
    for (int64_t i = 0; i < layout::lanes; ++i) to.of[i] = widen(given[i]);
    return to;
  }
  static inline Floats times(const Floats& a, const Floats& b) {
    Floats to;
    for (int64_t i = 0; i < layout::lanes; ++i) to.of[i] = a.of[i] * b.of[i];
    return to;
  }
  static inline Floats add(const Floats& sum, const Floats& a, const Floats& b) {
    Floats to;
    for (int64_t i = 0; i < layout::lanes; ++i) to.of[i] = sum.of[i] + a.of[i] * b.of[i];
    return to;
  }
};
using Floats = Vectors::Floats;

struct Fp32Product {
  using Weights = Floats;
  using Input = float;
  static inline Weights weights(const uint8_t* from) { return Vectors::load(reinterpret_cast<const float*>(from)); }
  static inline Input input(const uint8_t* from) { return *reinterpret_cast<const float*>(from); }
  static inline Floats add(const Floats& sum, Input x, const Weights& w) {
    Floats to;
    for (int64_t i = 0; i < layout::lanes; ++i) to.of[i] = sum.of[i] + x * w.of[i];
    return to;
  }
};

struct Bf16Product {
  struct Weights {
    Floats first, second;
  };
  struct Input {
    float first, second;
  };
  static inline Input input(const uint8_t* from) {
    uint32_t pair;
    memcpy(&pair, from, sizeof pair);
    return {std::bit_cast<float>(pair << 16), std::bit_cast<float>(pair & 0xffff0000u)};
  }
  static inline Weights weights(const uint8_t* from) {
    Weights to;
    for (int64_t i = 0; i < layout::lanes; ++i) {
      const Input pair = input(from + 4 * i);
      to.first.of[i] = pair.first;
      to.second.of[i] = pair.second;
    }
    return to;
  }
  static inline Floats add(const Floats& sum, const Input& x, const Weights& w) {
    return Fp32Product::add(Fp32Product::add(sum, x.first, w.first), x.second, w.second);
  }
};

struct Bytes {
  struct Sums {
    int32_t of[layout::lanes];
  };
  struct Weights {
    uint8_t of[4 * layout::lanes];
  };
  struct Input {
    int32_t of[4];
  };
  static inline Sums start(int32_t x) {
    Sums to;
    for (int32_t& lane : to.of) lane = x;
    return to;
  }
  static inline Floats floats(const Sums& sums) {
    Floats to;
    for (int64_t i = 0; i < layout::lanes; ++i) to.of[i] = static_cast<float>(sums.of[i]);
    return to;
  }
  static inline Weights weights(const uint8_t* from) {
    Weights to;
    memcpy(to.of, from, sizeof to.of);
    return to;
  }
  static inline void nibbles(const uint8_t* from, Weights& low, Weights& high) {
    for (int64_t i = 0; i < 4 * layout::lanes; ++i) {
      low.of[i] = from[i] & 15;
      high.of[i] = from[i] >> 4;
    }
  }
  static inline Input input(const int8_t* from) { return {{from[0], from[1], from[2], from[3]}}; }
  static inline Sums add(const Sums& sums, const Input& x, const Weights& w) {
    Sums to;
    for (int64_t i = 0; i < layout::lanes; ++i) {
      int32_t sum = sums.of[i];
      for (int64_t j = 0; j < 4; ++j) sum += x.of[j] * w.of[4 * i + j];
      to.of[i] = sum;
    }
    return to;
  }
};

}  // namespace

TileSet fp32Tiles() { return Table<FloatTiles<Vectors, Fp32Product>, 2, 1>::set(); }
TileSet bf16Tiles() { return Table<FloatTiles<Vectors, Bf16Product>, 2, 1>::set(); }
TileSet int8Tiles() { return Table<BlockTiles<Vectors, Bytes, false>, 2, 1>::set(); }
TileSet int4Tiles() { return Table<BlockTiles<Vectors, Bytes, true>, 2, 1>::set(); }

}  // namespace bt::baseline
