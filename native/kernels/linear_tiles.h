// Tiles for any set of instructions, which `Vectors` stands for: included once by each file that has one. All is in an
// unnamed namespace, so that no function compiled for one processor is taken for another.
//
// A sum is one chain over the steps in every tile, whatever its size: sum = sum + x w, by FMA where there is one.
#pragma once
#include <stdint.h>

#include <utility>

#include "kernels/linear_layout.h"
#include "kernels/linear_tile.h"

namespace bt {
namespace {

constexpr int64_t line = 64;

inline void fetch(const uint8_t* place) { __builtin_prefetch(place, 0, 2); }

template <typename Vectors, int rows, int vectors>
struct Sums {
  typename Vectors::Floats of[rows][vectors];

  explicit Sums(const Tile& tile) {
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        of[r][v] = tile.resume ? Vectors::load(tile.sums + r * tile.sumStride + v * layout::lanes) : Vectors::zero();
      }
    }
  }

  void store(const Tile& tile) const {
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        Vectors::store(tile.sums + r * tile.sumStride + v * layout::lanes, of[r][v]);
      }
    }
  }
};

// `Product` multiplies the 4 bytes that a step has of a row and of each column.
template <typename Vectors, typename Product, int rows, int vectors>
void floatTile(const Tile& tile) {
  Sums<Vectors, rows, vectors> sums(tile);
  const uint8_t* w = tile.w + tile.vector * line;
  const uint8_t* ahead = tile.ahead + tile.vector * line;
  for (int64_t s = 0; s < tile.steps; ++s, w += layout::floatStepBytes, ahead += layout::floatStepBytes) {
    for (int64_t l = 0; l < tile.aheadLines; ++l) fetch(ahead + l * line);
    typename Product::Weights weights[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) weights[v] = Product::weights(w + v * line);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const typename Product::Input x = Product::input(tile.x + r * tile.xStride + 4 * s);
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) sums.of[r][v] = Product::add(sums.of[r][v], x, weights[v]);
    }
  }
  sums.store(tile);
}

// `Bytes` multiplies 4 inputs of a row with 4 bytes of each column, in whole numbers. `nibbles`: int4.
template <typename Vectors, typename Bytes, bool nibbles, int rows, int vectors>
void blockTile(const Tile& tile) {
  constexpr int64_t stepBytes = nibbles ? layout::int4StepBytes : layout::int8StepBytes;
  constexpr int quads = nibbles ? 4 : 8;
  Sums<Vectors, rows, vectors> sums(tile);
  const uint8_t *w = tile.w, *ahead = tile.ahead;
  for (int64_t s = 0; s < tile.steps; ++s, w += stepBytes, ahead += stepBytes) {
    const layout::InputBlock* x[rows];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) x[r] = reinterpret_cast<const layout::InputBlock*>(tile.x + r * tile.xStride) + s;
    typename Bytes::Sums products[rows][vectors];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) products[r][v] = Bytes::start(x[r]->start);
    }
    const uint8_t* from = w + layout::scaleBytes + tile.vector * line;
    const uint8_t* next = ahead + layout::scaleBytes + tile.vector * line;
    if (tile.aheadLines > 0) fetch(ahead);
#pragma GCC unroll 8
    for (int q = 0; q < quads; ++q) {
      for (int64_t l = 0; l < tile.aheadLines; ++l) fetch(next + q * layout::quadBytes + l * line);
      if constexpr (nibbles) {
        typename Bytes::Weights low[vectors], high[vectors];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) Bytes::nibbles(from + q * layout::quadBytes + v * line, low[v], high[v]);
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
          const typename Bytes::Input first = Bytes::input(x[r]->values + 8 * q);
          const typename Bytes::Input second = Bytes::input(x[r]->values + 8 * q + 4);
#pragma GCC unroll 8
          for (int v = 0; v < vectors; ++v) {
            products[r][v] = Bytes::add(products[r][v], first, low[v]);
            products[r][v] = Bytes::add(products[r][v], second, high[v]);
          }
        }
      } else {
        typename Bytes::Weights weights[vectors];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) weights[v] = Bytes::weights(from + q * layout::quadBytes + v * line);
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
          const typename Bytes::Input input = Bytes::input(x[r]->values + 4 * q);
#pragma GCC unroll 8
          for (int v = 0; v < vectors; ++v) products[r][v] = Bytes::add(products[r][v], input, weights[v]);
        }
      }
    }
    typename Vectors::Floats scales[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) scales[v] = Vectors::halves(w + 2 * layout::lanes * (tile.vector + v));
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const typename Vectors::Floats scale = Vectors::broadcast(x[r]->scale);
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        sums.of[r][v] = Vectors::add(sums.of[r][v], Bytes::floats(products[r][v]), Vectors::times(scales[v], scale));
      }
    }
  }
  sums.store(tile);
}

template <typename Vectors, typename Product>
struct FloatTiles {
  template <int rows, int vectors>
  static constexpr TileFunction of = floatTile<Vectors, Product, rows, vectors>;
};
template <typename Vectors, typename Bytes, bool nibbles>
struct BlockTiles {
  template <int rows, int vectors>
  static constexpr TileFunction of = blockTile<Vectors, Bytes, nibbles, rows, vectors>;
};

// All tiles up to a size.
template <typename Tiles, int rows, int vectors>
struct Table {
  template <typename>
  struct Counted;
  template <int... i>
  struct Counted<std::integer_sequence<int, i...>> {
    static constexpr TileFunction of[] = {Tiles::template of<i / vectors + 1, i % vectors + 1>...};
  };
  static TileSet set() { return {rows, vectors, Counted<std::make_integer_sequence<int, rows * vectors>>::of}; }
};

}  // namespace
}  // namespace bt
