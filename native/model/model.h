// A frozen decoder's weights on one device. Knows how they are found and held, not how they are multiplied.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/packed_matrix.h"
#include "model/weight_source.h"

namespace bt {

// Linear weights are [out, in], row-major, as Hugging Face stores them. Biases are undefined where there is none.
struct DecoderLayer {
  at::Tensor inputNorm, postNorm;  // [hidden]
  at::Tensor qkv, qkvBias;         // [(heads + 2 kvHeads) headDim, hidden]: q, k, v one below another
  at::Tensor qNorm, kNorm;         // [headDim], Qwen3
  at::Tensor out, outBias;         // [hidden, heads headDim]
  at::Tensor gateUp, gateUpBias;   // [2 intermediate, hidden]: gate above up
  at::Tensor down, downBias;       // [hidden, intermediate]
};

class Model {
 public:
  // Opens the files and, but for a lazy one, loads. Throws as load() does. Worker thread only.
  Model(const ModelConfig& config, const std::vector<std::string>& files, const std::vector<TensorEntry>& tensors,
        at::ScalarType dtype, at::Device device, bool lazy = false);

  // Checks every table entry against its file, and reads, expands and converts each weight to `dtype`; nothing when
  // that is done. Whoever takes the tensors below calls it first: generation on a CPU has weights of its own. Throws
  // BT_TENSOR_MISSING, BT_TENSOR_SHAPE, BT_TENSOR_OUT_OF_RANGE, BT_IO. Worker thread only.
  void load();

  const ModelConfig& config() const { return config_; }
  at::ScalarType dtype() const { return dtype_; }
  at::Device device() const { return device_; }
  // Those of packed weights counted.
  int64_t weightBytes() const { return weightBytes_ + packed.bytes(); }
  const WeightSource& source() const { return source_; }

  at::Tensor embedding;  // [vocab, hidden]
  at::Tensor finalNorm;  // [hidden]
  at::Tensor head;       // [vocab, hidden]; the embedding itself when tied
  std::vector<DecoderLayer> layers;

  PackedMatrices packed;  // those in use

  // Rotary tables for positions 0 .. length - 1: cos and sin, each [length, headDim / 2], FP32. Grown on demand.
  std::pair<at::Tensor, at::Tensor> rotary(int64_t length);

 private:
  ModelConfig config_;
  at::ScalarType dtype_;
  at::Device device_;
  WeightSource source_;
  int64_t weightBytes_ = 0;
  at::Tensor cos_, sin_;
};

}  // namespace bt
