// Brings one stored weight into its place: read, expanded, converted and put in order, in pieces that stay in a
// processor's cache, on all OpenMP threads. Which weights there are and where they go is model.cc's affair.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/weight_file.h"

namespace bt {

// Plain element types of stored weights; Undefined for GGML's block types.
at::ScalarType plainType(const std::string& type);

// "[8, 32]"
std::string shapeText(const std::vector<int64_t>& shape);

// Throws BT_TENSOR_SHAPE when the entry's bytes are not what its type and shape take, BT_TENSOR_OUT_OF_RANGE when they
// do not lie in the file.
void checkRange(const TensorEntry& entry, const WeightFile& file);

class WeightReader {
 public:
  WeightReader();

  // entry: a stored weight whose range lies in `file`     into: contiguous, on the CPU, of the entry's shape
  // Throws Error BT_IO, BT_TENSOR_SHAPE when its rows do not divide into rotary heads, BT_ABORTED.
  void read(const WeightFile& file, const TensorEntry& entry, const at::Tensor& into);

 private:
  // Bytes as stored and, of blocks, the floats that they hold: one pair a thread.
  struct Scratch {
    std::unique_ptr<uint8_t[]> raw;
    std::unique_ptr<float[]> wide;
    int64_t rawBytes = 0, wideElements = 0;
  };
  std::vector<Scratch> scratch_;
};

}  // namespace bt
