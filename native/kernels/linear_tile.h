// The innermost products of linear.cc: a few rows times a few vectors of 16 columns of a panel (linear_layout.h). As
// attention_avx512.h, this and the files that implement it keep to C and intrinsics: they are compiled for processors
// that this one may not be.
#pragma once
#include <stdint.h>

namespace bt {

struct Tile {
  const uint8_t* x;      // inputs of the first row at the first step: float, BF16 or InputBlock
  int64_t xStride;       // bytes from a row to the next
  const uint8_t* w;      // the panel at the first step
  int64_t vector;        // of the panel's, the first one here
  int64_t steps;         // as linear_layout.h counts them
  float* sums;           // (rows, 16 vectors), of this tile's first vector
  int64_t sumStride;     // floats from a row to the next
  bool resume;           // sums go on from what they are
  const uint8_t* ahead;  // a place in the panels to fetch from memory meanwhile, step by step
  int64_t aheadLines;    // vectors of each step to fetch there, from the first one here
};

using TileFunction = void (*)(const Tile&);

struct TileSet {
  int64_t rows, vectors;   // of the largest tile
  const TileFunction* of;  // of[(rows - 1) * vectors + (vectors of the tile - 1)]
};

// Each needs the instructions in its name; avx2 FMA and F16C too, avx512 F, BW, DQ and VL.
namespace baseline {
TileSet fp32Tiles();
TileSet bf16Tiles();
TileSet int8Tiles();
TileSet int4Tiles();
}  // namespace baseline
namespace avx2 {
TileSet fp32Tiles();
TileSet bf16Tiles();
TileSet int8Tiles();
TileSet int4Tiles();
}  // namespace avx2
namespace avx512 {
TileSet fp32Tiles();
TileSet bf16Tiles();         // inputs and weights widened to FP32
TileSet bf16ProductTiles();  // AVX512_BF16: products of pairs
}  // namespace avx512
namespace avx512vnni {
TileSet int8Tiles();
TileSet int4Tiles();
}  // namespace avx512vnni

}  // namespace bt
