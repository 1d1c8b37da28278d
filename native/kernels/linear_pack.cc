// Moves weights into their packed order and back.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "kernels/dequant.h"
#include "kernels/element.h"
#include "kernels/linear.h"
#include "kernels/linear_layout.h"
#include "kernels/parallel.h"
#include "kernels/quantize.h"

namespace bt {

namespace {

using namespace layout;

bool inBlocks(WeightKind kind) { return kind == WeightKind::int8 || kind == WeightKind::int4; }
int64_t columnsOf(WeightKind kind) { return inBlocks(kind) ? blockColumns : floatColumns; }
std::string_view blockType(WeightKind kind) { return kind == WeightKind::int8 ? "Q8_0" : "Q4_0"; }

int64_t stepsOf(WeightKind kind, int64_t in) {
  const int64_t inputs = inBlocks(kind) ? block : kind == WeightKind::bf16 ? 2 : 1;
  return (in + inputs - 1) / inputs;
}

int64_t bytesOfStep(WeightKind kind) {
  return kind == WeightKind::int8 ? int8BlockBytes : kind == WeightKind::int4 ? int4BlockBytes : stepBytes;
}

// Where column `row` begins in its panel's first step, but for its place among the columns.
uint8_t* panelOf(const PackedWeight& weight, int64_t row) {
  return weight.data + row / columnsOf(weight.kind) * stepsOf(weight.kind, weight.in) * bytesOfStep(weight.kind);
}

// ---- FP32 and BF16

template <typename Held, typename T>
void packFloats(const PackedWeight& weight, int64_t row, const T* from) {
  constexpr int64_t inputs = 4 / sizeof(Held);
  Held* to = reinterpret_cast<Held*>(panelOf(weight, row)) + row % floatColumns * inputs;
  for (int64_t i = 0; i < weight.in; ++i) {
    to[i / inputs * floatColumns * inputs + i % inputs] = narrowTo<Held>(widen(from[i]));
  }
  if (weight.in % inputs != 0) to[weight.in / inputs * floatColumns * inputs + 1] = narrowTo<Held>(0.0f);
}

// ---- Blocks

// The 32 values of a block, what was added to them left in.
void openBlock(WeightKind kind, const uint8_t* from, uint8_t* values) {
  if (kind == WeightKind::int8) {
    for (int64_t i = 0; i < block; ++i) values[i] = static_cast<uint8_t>(from[2 + i] ^ 0x80);
  } else {
    for (int64_t i = 0; i < block / 2; ++i) {
      values[i] = from[2 + i] & 15;
      values[i + block / 2] = from[2 + i] >> 4;
    }
  }
}

// Writes a block of column `column` of a panel to the panel's step.
void storeBlock(WeightKind kind, const uint8_t* from, int64_t column, uint8_t* step) {
  std::memcpy(step + 2 * column, from, 2);
  uint8_t values[block];
  openBlock(kind, from, values);
  uint8_t* quads = step + scaleBytes + 4 * column;
  if (kind == WeightKind::int8) {
    for (int64_t q = 0; q < block / 4; ++q) std::memcpy(quads + q * quadBytes, values + 4 * q, 4);
    return;
  }
  for (int64_t q = 0; q < block / 8; ++q) {
    for (int64_t i = 0; i < 4; ++i) {
      quads[q * quadBytes + i] = static_cast<uint8_t>(values[8 * q + i] | values[8 * q + 4 + i] << 4);
    }
  }
}

void packBlockRow(const PackedWeight& weight, int64_t row, const uint8_t* from) {
  const int64_t bytes = blockBytes(blockType(weight.kind)), stepSize = bytesOfStep(weight.kind);
  for (int64_t b = 0; b < stepsOf(weight.kind, weight.in); ++b) {
    storeBlock(weight.kind, from + b * bytes, row % blockColumns, panelOf(weight, row) + b * stepSize);
  }
}

template <typename T>
void quantizeAndPack(const PackedWeight& weight, int64_t row, const T* from, std::vector<float>& wide,
                     std::vector<uint8_t>& blocks) {
  const std::string_view type = blockType(weight.kind);
  const int64_t whole = stepsOf(weight.kind, weight.in) * block;
  wide.assign(static_cast<size_t>(whole), 0);
  blocks.resize(static_cast<size_t>(whole / block * blockBytes(type)));
  for (int64_t i = 0; i < weight.in; ++i) {
    wide[i] = widen(from[i]);
    if (!(std::abs(wide[i]) <= quantizeLimit(type))) {
      throw std::invalid_argument("weight " + std::to_string(i) + " of row " + std::to_string(row) +
                                  " is not finite or too large for " + std::string(type));
    }
  }
  quantize(type, wide.data(), blocks.data(), whole);
  packBlockRow(weight, row, blocks.data());
}

// ---- Rows

void requireRows(const PackedWeight& weight, int64_t first, int64_t count) {
  if (first >= 0 && count >= 0 && first + count <= weight.out) return;
  throw std::invalid_argument("rows " + std::to_string(first) + " to " + std::to_string(first + count) +
                              " of weights with " + std::to_string(weight.out));
}

// Zeros for the columns of the last panel that no row fills.
void clearRest(const PackedWeight& weight) {
  const int64_t columns = columnsOf(weight.kind), size = bytesOfStep(weight.kind);
  for (int64_t row = weight.out; row % columns != 0; ++row) {
    uint8_t* panel = panelOf(weight, row);
    for (int64_t s = 0; s < stepsOf(weight.kind, weight.in); ++s) {
      if (inBlocks(weight.kind)) {
        uint8_t nothing[2 + block] = {};
        if (weight.kind == WeightKind::int4) std::fill_n(nothing + 2, block / 2, uint8_t{0x88});
        storeBlock(weight.kind, nothing, row % columns, panel + s * size);
      } else {
        std::memset(panel + s * size + row % columns * 4, 0, 4);
      }
    }
  }
}

}  // namespace

int64_t packedBytes(WeightKind kind, int64_t out, int64_t in) {
  const int64_t columns = columnsOf(kind);
  return (out + columns - 1) / columns * stepsOf(kind, in) * bytesOfStep(kind);
}

template <typename T>
void packRows(const PackedWeight& weight, int64_t first, int64_t count, const T* rows) {
  requireRows(weight, first, count);
  const auto pack = [&](int64_t begin, int64_t end) {
    std::vector<float> wide;
    std::vector<uint8_t> blocks;
    for (int64_t r = begin; r < end; ++r) {
      const T* row = rows + r * weight.in;
      switch (weight.kind) {
        case WeightKind::fp32: packFloats<float>(weight, first + r, row); break;
        case WeightKind::bf16: packFloats<Bf16>(weight, first + r, row); break;
        case WeightKind::int8:
        case WeightKind::int4: quantizeAndPack(weight, first + r, row, wide, blocks); break;
      }
    }
  };
  constexpr int64_t rowsOfTask = 64;
  parallelTasks((count + rowsOfTask - 1) / rowsOfTask,
                [&](int64_t task) { pack(task * rowsOfTask, std::min(count, (task + 1) * rowsOfTask)); });
  if (first + count == weight.out) clearRest(weight);
}

void packBlocks(const PackedWeight& weight, int64_t first, int64_t count, const uint8_t* rows) {
  requireRows(weight, first, count);
  if (!inBlocks(weight.kind) || weight.in % block != 0) {
    throw std::invalid_argument("blocks of 32 for weights of another kind, or with rows that are not whole blocks");
  }
  const int64_t rowBytes = weight.in / block * blockBytes(blockType(weight.kind));
  parallelRows(count, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) packBlockRow(weight, first + r, rows + r * rowBytes);
  });
  if (first + count == weight.out) clearRest(weight);
}

template <typename T>
void unpackRow(const PackedWeight& weight, int64_t row, T* to) {
  requireRows(weight, row, 1);
  const uint8_t* panel = panelOf(weight, row);
  const int64_t column = row % columnsOf(weight.kind), size = bytesOfStep(weight.kind);
  for (int64_t i = 0; i < weight.in; ++i) {
    switch (weight.kind) {
      case WeightKind::fp32:
        to[i] = narrowTo<T>(reinterpret_cast<const float*>(panel)[i * floatColumns + column]);
        break;
      case WeightKind::bf16:
        to[i] = narrowTo<T>(widen(reinterpret_cast<const Bf16*>(panel)[(i / 2 * floatColumns + column) * 2 + i % 2]));
        break;
      case WeightKind::int8:
      case WeightKind::int4: {
        const uint8_t* step = panel + i / block * size;
        const float scale = widen(reinterpret_cast<const Fp16*>(step)[column]);
        const int64_t k = i % block;
        const uint8_t* quads = step + scaleBytes + 4 * column + k % 4;
        const int value = weight.kind == WeightKind::int8 ? quads[k / 4 * quadBytes] - 128
                                                          : (quads[k / 8 * quadBytes] >> (k % 8 < 4 ? 0 : 4) & 15) - 8;
        to[i] = narrowTo<T>(static_cast<float>(value) * scale);
        break;
      }
    }
  }
}

#define BT_INSTANTIATE(T) template void packRows<T>(const PackedWeight&, int64_t, int64_t, const T*);
BT_INSTANTIATE(float)
BT_INSTANTIATE(Bf16)
BT_INSTANTIATE(Fp16)
template void unpackRow<float>(const PackedWeight&, int64_t, float*);
template void unpackRow<Bf16>(const PackedWeight&, int64_t, Bf16*);

}  // namespace bt
