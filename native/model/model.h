// A frozen decoder's weights on one device. Knows how they are found and held, not how they are multiplied.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "model/config.h"

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
  // Checks every table entry against its file, and reads, expands and converts each weight to `dtype`.
  // Throws BT_TENSOR_MISSING, BT_TENSOR_SHAPE, BT_TENSOR_OUT_OF_RANGE, BT_IO. Worker thread only.
  Model(const ModelConfig& config, const std::vector<std::string>& files, const std::vector<TensorEntry>& tensors,
        at::ScalarType dtype, at::Device device);

  const ModelConfig& config() const { return config_; }
  at::ScalarType dtype() const { return dtype_; }
  at::Device device() const { return device_; }
  int64_t weightBytes() const { return weightBytes_; }

  at::Tensor embedding;  // [vocab, hidden]
  at::Tensor finalNorm;  // [hidden]
  at::Tensor head;       // [vocab, hidden]; the embedding itself when tied
  std::vector<DecoderLayer> layers;

  // Rotary tables for positions 0 .. length - 1: cos and sin, each [length, headDim / 2], FP32. Grown on demand.
  std::pair<at::Tensor, at::Tensor> rotary(int64_t length);

 private:
  ModelConfig config_;
  at::ScalarType dtype_;
  at::Device device_;
  int64_t weightBytes_ = 0;
  at::Tensor cos_, sin_;
};

}  // namespace bt
