#include "model/weight_read.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>

#include "kernels/dequant.h"
#include "kernels/parallel.h"
#include "model/abort.h"
#include "model/error.h"

namespace bt {

namespace {

// Elements of a piece: 256 KB of floats.
constexpr int64_t pieceElements = int64_t{1} << 16;

// How a weight is cut into pieces of whole blocks and, where its rows change places, of whole rotary heads.
struct Pieces {
  int64_t elements;     // of each piece but the last
  int64_t unit, bytes;  // elements and bytes of a block (or of one plain element)
  int64_t heads = 0;    // rotary heads of each piece; 0: rows stay where they are
  int64_t half = 0;     // pairs of features of a head
  int64_t width = 0;    // elements of a row
};

Pieces cut(const TensorEntry& entry, int64_t total) {
  const bool blocks = isBlockType(entry.type);
  Pieces pieces{pieceElements, blocks ? blockElements(entry.type) : 1, 0};
  pieces.bytes = entry.byteLength / (total / pieces.unit);
  if (entry.interleavedHeads == 0) return pieces;
  const int64_t heads = entry.interleavedHeads, rows = entry.shape[0];
  if (rows % (2 * heads) != 0) {
    throw Error("BT_TENSOR_SHAPE", "tensor " + entry.name + ": " + std::to_string(rows) + " rows do not divide into " +
                                       std::to_string(heads) + " rotary heads");
  }
  const bool apart = total / heads % pieces.unit == 0;  // no block spans two heads
  pieces.heads = apart ? 1 : heads;
  pieces.half = rows / heads / 2;
  pieces.width = total / rows;
  pieces.elements = total / heads * pieces.heads;
  return pieces;
}

// Bytes that the entry's type and shape take.
int64_t storedBytes(const TensorEntry& entry) {
  int64_t elements = 1;
  for (const int64_t size : entry.shape) {
    if (__builtin_mul_overflow(elements, size, &elements) || elements > int64_t{1} << 56) {
      throw Error("BT_TENSOR_SHAPE",
                  "tensor " + entry.name + ": " + shapeText(entry.shape) + " is no shape of a weight");
    }
  }
  const at::ScalarType plain = plainType(entry.type);
  if (plain != at::ScalarType::Undefined) return elements * static_cast<int64_t>(c10::elementSize(plain));
  if (!isBlockType(entry.type)) {
    throw Error("BT_TENSOR_SHAPE", "tensor " + entry.name + ": unknown type " + entry.type);
  }
  if (entry.shape.empty() || entry.shape.back() % blockElements(entry.type) != 0) {
    throw Error("BT_TENSOR_SHAPE", "tensor " + entry.name + ": rows of " + shapeText(entry.shape) +
                                       " do not divide into " + entry.type + " blocks");
  }
  return elements / blockElements(entry.type) * blockBytes(entry.type);
}

template <typename T>
T* grown(std::unique_ptr<T[]>& buffer, int64_t& size, int64_t wanted) {
  if (size < wanted) {
    buffer.reset(new T[static_cast<size_t>(wanted)]);
    size = wanted;
  }
  return buffer.get();
}

}  // namespace

at::ScalarType plainType(const std::string& type) {
  if (type == "F32") return at::kFloat;
  if (type == "F16") return at::kHalf;
  if (type == "BF16") return at::kBFloat16;
  return at::ScalarType::Undefined;
}

std::string shapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

void checkRange(const TensorEntry& entry, const WeightFile& file) {
  const int64_t needed = storedBytes(entry);
  if (entry.byteLength != needed) {
    throw Error("BT_TENSOR_SHAPE", "tensor " + entry.name + " has " + std::to_string(entry.byteLength) + " bytes; " +
                                       entry.type + " " + shapeText(entry.shape) + " takes " + std::to_string(needed));
  }
  if (entry.offset < 0 || entry.offset > file.size() || needed > file.size() - entry.offset) {
    throw Error("BT_TENSOR_OUT_OF_RANGE", file.path() + ": tensor " + entry.name + " ends at byte " +
                                              std::to_string(entry.offset + needed) + " of a file of " +
                                              std::to_string(file.size()));
  }
}

WeightReader::WeightReader() : scratch_(static_cast<size_t>(std::max(omp_get_max_threads(), 1))) {}

void WeightReader::read(const WeightFile& file, const TensorEntry& entry, const at::Tensor& into) {
  checkAbort();
  const int64_t total = into.numel(), size = into.element_size();
  const Pieces pieces = cut(entry, total);
  const at::ScalarType stored = plainType(entry.type);
  auto* to = static_cast<uint8_t*>(into.data_ptr());
  const bool asItIs = stored == into.scalar_type() && pieces.heads == 0;
  parallelTasks((total + pieces.elements - 1) / pieces.elements, [&](int64_t piece) {
    const int64_t begin = piece * pieces.elements, count = std::min(pieces.elements, total - begin);
    const int64_t offset = entry.offset + begin / pieces.unit * pieces.bytes;
    const int64_t length = count / pieces.unit * pieces.bytes;
    uint8_t* place = to + begin * size;
    if (asItIs) return file.read(offset, length, place);
    Scratch& scratch = scratch_[static_cast<size_t>(omp_get_thread_num())];
    uint8_t* raw = grown(scratch.raw, scratch.rawBytes, length);
    file.read(offset, length, raw);
    at::Tensor source;  // (count)
    if (stored == at::ScalarType::Undefined) {
      float* wide = grown(scratch.wide, scratch.wideElements, count);
      dequantize(entry.type, raw, wide, count);
      source = at::from_blob(wide, {count}, at::kFloat);
    } else {
      source = at::from_blob(raw, {count}, stored);
    }
    at::Tensor target = at::from_blob(place, {count}, into.scalar_type());
    if (pieces.heads == 0) {
      target.copy_(source);
      return;
    }
    // (head, pair, {even, odd}, ...) -> (head, {even, odd}, pair, ...)
    source = source.view({pieces.heads, pieces.half, 2, pieces.width}).transpose(1, 2);
    target.view({pieces.heads, 2, pieces.half, pieces.width}).copy_(source);
  });
}

}  // namespace bt
