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
#include "kernels/linear_kinds.h"
#include "kernels/parallel.h"
#include "kernels/quantize.h"

namespace bt {

namespace {

using namespace layout;

const Layout& layoutOf(const PackedWeight& weight) { return layout::layoutOf(weight.kind); }
bool inBlocks(const PackedWeight& weight) { return layoutOf(weight).inputs == block; }
int64_t stepsOf(const PackedWeight& weight) { return layoutOf(weight).steps(weight.in); }
std::string_view blockType(const PackedWeight& weight) { return weight.kind == WeightKind::int8 ? "Q8_0" : "Q4_0"; }

// Where column `row` begins in its panel's first step, but for its place among the columns.
uint8_t* panelOf(const PackedWeight& weight, int64_t row) {
  const Layout& layout = layoutOf(weight);
  return weight.data + row / layout.columns * stepsOf(weight) * layout.bytes;
}

// ---- FP32 and BF16

// Inputs whose places in a panel lie in a core's first cache while the rows of a panel are written there one by one.
constexpr int64_t inputsAtOnce = 64;

template <typename Held, typename T>
void packFloats(const PackedWeight& weight, int64_t row, int64_t count, const T* from) {
  constexpr int64_t inputs = 4 / sizeof(Held), apart = floatColumns * inputs;
  for (int64_t first = 0; first < weight.in; first += inputsAtOnce) {
    const int64_t end = std::min(weight.in, first + inputsAtOnce);
    for (int64_t r = 0; r < count; ++r) {
      Held* to = reinterpret_cast<Held*>(panelOf(weight, row + r)) + (row + r) % floatColumns * inputs;
      const T* x = from + r * weight.in;
      for (int64_t i = first; i < end; ++i) to[i / inputs * apart + i % inputs] = narrowTo<Held>(widen(x[i]));
      if (end % inputs != 0) to[end / inputs * apart + 1] = narrowTo<Held>(0.0f);
    }
  }
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
  const int64_t bytes = blockBytes(blockType(weight)), stepSize = layoutOf(weight).bytes;
  for (int64_t b = 0; b < stepsOf(weight); ++b) {
    storeBlock(weight.kind, from + b * bytes, row % blockColumns, panelOf(weight, row) + b * stepSize);
  }
}

template <typename T>
void quantizeAndPack(const PackedWeight& weight, int64_t first, int64_t count, const T* rows) {
  const std::string_view type = blockType(weight);
  const float limit = quantizeLimit(type);
  const int64_t whole = stepsOf(weight) * block;
  std::vector<float> wide(static_cast<size_t>(whole));
  std::vector<uint8_t> blocks(static_cast<size_t>(whole / block * blockBytes(type)));
  for (int64_t row = first; row < first + count; ++row, rows += weight.in) {
    for (int64_t i = 0; i < weight.in; ++i) {
      wide[i] = widen(rows[i]);
      if (std::abs(wide[i]) <= limit) continue;  // not so for NaN
      throw std::invalid_argument("weight " + std::to_string(i) + " of row " + std::to_string(row) +
                                  " is not finite or too large for " + std::string(type));
    }
    quantize(type, wide.data(), blocks.data(), whole);
    packBlockRow(weight, row, blocks.data());
  }
}

// ---- Rows

void requireRows(const PackedWeight& weight, int64_t first, int64_t count) {
  if (first >= 0 && count >= 0 && first + count <= weight.out) return;
  throw std::invalid_argument("rows " + std::to_string(first) + " to " + std::to_string(first + count) +
                              " of weights with " + std::to_string(weight.out));
}

// Zeros for the columns of the last panel that no row fills.
void clearRest(const PackedWeight& weight) {
  const int64_t columns = layoutOf(weight).columns, size = layoutOf(weight).bytes;
  for (int64_t row = weight.out; row % columns != 0; ++row) {
    uint8_t* panel = panelOf(weight, row);
    for (int64_t s = 0; s < stepsOf(weight); ++s) {
      if (inBlocks(weight)) {
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
  const Layout& layout = layoutOf(kind);
  return (out + layout.columns - 1) / layout.columns * layout.steps(in) * layout.bytes;
}

template <typename T>
void packRows(const PackedWeight& weight, int64_t first, int64_t count, const T* rows) {
  requireRows(weight, first, count);
  const auto pack = [&](int64_t begin, int64_t end) {
    const T* from = rows + begin * weight.in;
    switch (weight.kind) {
      case WeightKind::fp32: packFloats<float>(weight, first + begin, end - begin, from); break;
      case WeightKind::bf16: packFloats<Bf16>(weight, first + begin, end - begin, from); break;
      case WeightKind::int8:
      case WeightKind::int4: quantizeAndPack(weight, first + begin, end - begin, from); break;
    }
  };
  constexpr int64_t rowsOfTask = floatColumns;
  parallelTasks((count + rowsOfTask - 1) / rowsOfTask,
                [&](int64_t task) { pack(task * rowsOfTask, std::min(count, (task + 1) * rowsOfTask)); });
  if (first + count == weight.out) clearRest(weight);
}

void packBlocks(const PackedWeight& weight, int64_t first, int64_t count, const uint8_t* rows) {
  requireRows(weight, first, count);
  if (!inBlocks(weight) || weight.in % block != 0) {
    throw std::invalid_argument("blocks of 32 for weights of another kind, or with rows that are not whole blocks");
  }
  const int64_t rowBytes = weight.in / block * blockBytes(blockType(weight));
  parallelRows(count, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) packBlockRow(weight, first + r, rows + r * rowBytes);
  });
  if (first + count == weight.out) clearRest(weight);
}

template <typename T>
void unpackRow(const PackedWeight& weight, int64_t row, T* to) {
  requireRows(weight, row, 1);
  const uint8_t* panel = panelOf(weight, row);
  const int64_t column = row % layoutOf(weight).columns, size = layoutOf(weight).bytes;
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
