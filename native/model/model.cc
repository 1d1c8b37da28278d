#include "model/model.h"

#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "model/weight_memory.h"
#include "model/weight_read.h"

namespace bt {

namespace {

// Brings weights into tensors of the wanted dtype.
class Loader {
 public:
  Loader(const WeightSource& source, at::ScalarType dtype, at::Device device)
      : source_(source), dtype_(dtype), device_(device) {}

  at::Tensor load(const std::string& name, const std::vector<int64_t>& shape) {
    const TensorEntry& entry = source_.find(name, shape);
    at::Tensor host = hostTensor(shape);
    reader_.read(source_.file(entry), entry, host);
    return finish(std::move(host));
  }

  // Several weights one below another in one tensor. All have `width` columns, or none (biases) when width is 0.
  at::Tensor stack(const std::vector<std::pair<std::string, int64_t>>& parts, int64_t width) {
    const auto shapeOf = [width](int64_t rows) {
      return width > 0 ? std::vector<int64_t>{rows, width} : std::vector<int64_t>{rows};
    };
    std::vector<const TensorEntry*> entries;
    int64_t rows = 0;
    for (const auto& [name, count] : parts) {
      entries.push_back(&source_.find(name, shapeOf(count)));
      rows += count;
    }
    at::Tensor host = hostTensor(shapeOf(rows));
    int64_t row = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      reader_.read(source_.file(*entries[i]), *entries[i], host.narrow(0, row, parts[i].second));
      row += parts[i].second;
    }
    return finish(std::move(host));
  }

  int64_t bytes() const { return bytes_; }

 private:
  // Uninitialised, on the CPU: where the weight stays when the model is computed there.
  at::Tensor hostTensor(const std::vector<int64_t>& shape) {
    return device_.is_cpu() ? memory_.take(shape, dtype_) : at::empty(shape, at::TensorOptions().dtype(dtype_));
  }

  at::Tensor finish(at::Tensor host) {
    bytes_ += static_cast<int64_t>(host.nbytes());
    return device_.is_cpu() ? host : host.to(device_);
  }

  const WeightSource& source_;
  at::ScalarType dtype_;
  at::Device device_;
  WeightMemory memory_;
  WeightReader reader_;
  int64_t bytes_ = 0;
};

DecoderLayer loadLayer(Loader& loader, const ModelConfig& config, int64_t index) {
  const std::string prefix = "model.layers." + std::to_string(index) + ".";
  const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
  const int64_t q = config.qSize(), kv = config.kvSize(), hidden = config.hiddenSize, inner = config.intermediateSize;
  DecoderLayer layer;
  layer.inputNorm = loader.load(prefix + "input_layernorm.weight", {hidden});
  layer.postNorm = loader.load(prefix + "post_attention_layernorm.weight", {hidden});
  layer.qkv = loader.stack(
      {{attention + "q_proj.weight", q}, {attention + "k_proj.weight", kv}, {attention + "v_proj.weight", kv}}, hidden);
  layer.out = loader.load(attention + "o_proj.weight", {hidden, q});
  layer.gateUp = loader.stack({{mlp + "gate_proj.weight", inner}, {mlp + "up_proj.weight", inner}}, hidden);
  layer.down = loader.load(mlp + "down_proj.weight", {hidden, inner});
  if (config.qkvBias) {
    layer.qkvBias = loader.stack(
        {{attention + "q_proj.bias", q}, {attention + "k_proj.bias", kv}, {attention + "v_proj.bias", kv}}, 0);
  }
  if (config.outBias) layer.outBias = loader.load(attention + "o_proj.bias", {hidden});
  if (config.mlpBias) {
    layer.gateUpBias = loader.stack({{mlp + "gate_proj.bias", inner}, {mlp + "up_proj.bias", inner}}, 0);
    layer.downBias = loader.load(mlp + "down_proj.bias", {hidden});
  }
  if (config.qkNorm) {
    layer.qNorm = loader.load(attention + "q_norm.weight", {config.headDim});
    layer.kNorm = loader.load(attention + "k_norm.weight", {config.headDim});
  }
  return layer;
}

// Angle per position of each pair of features: theta^(-2i/d), then the family's scaling for long contexts
// (llama3: as in Llama 3.1's release, long waves slowed by `factor`, short ones left, a ramp between).
std::vector<double> inverseFrequencies(const ModelConfig& config) {
  const int64_t half = config.headDim / 2;
  const RopeScaling& scaling = config.ropeScaling;
  std::vector<double> frequencies(half);
  for (int64_t i = 0; i < half; ++i) {
    double frequency = std::pow(config.ropeTheta, -2.0 * static_cast<double>(i) / static_cast<double>(config.headDim));
    if (scaling.type == RopeScaling::Type::linear) frequency /= scaling.factor;
    if (scaling.type == RopeScaling::Type::llama3) {
      const double wavelength = 2 * std::numbers::pi / frequency;
      const double original = static_cast<double>(scaling.originalMaxPositions);
      const double low = original / scaling.lowFreqFactor, high = original / scaling.highFreqFactor;
      if (wavelength > low) {
        frequency /= scaling.factor;
      } else if (wavelength >= high) {
        const double smooth =
            (original / wavelength - scaling.lowFreqFactor) / (scaling.highFreqFactor - scaling.lowFreqFactor);
        frequency = (1 - smooth) * frequency / scaling.factor + smooth * frequency;
      }
    }
    frequencies[i] = frequency;
  }
  return frequencies;
}

}  // namespace

Model::Model(const ModelConfig& config, const std::vector<std::string>& files, const std::vector<TensorEntry>& tensors,
             at::ScalarType dtype, at::Device device, bool lazy)
    : config_(config), dtype_(dtype), device_(device), source_(files, tensors) {
  if (!lazy) load();
}

void Model::load() {
  if (embedding.defined()) return;
  Loader loader(source_, dtype_, device_);
  const at::Tensor tokens = loader.load("model.embed_tokens.weight", {config_.vocabSize, config_.hiddenSize});
  finalNorm = loader.load("model.norm.weight", {config_.hiddenSize});
  head = config_.tieWordEmbeddings ? tokens : loader.load("lm_head.weight", {config_.vocabSize, config_.hiddenSize});
  std::vector<DecoderLayer> loaded;
  for (int64_t i = 0; i < config_.layers; ++i) loaded.push_back(loadLayer(loader, config_, i));
  layers = std::move(loaded);
  weightBytes_ = loader.bytes();
  embedding = tokens;
}

std::pair<at::Tensor, at::Tensor> Model::rotary(int64_t length) {
  if (!cos_.defined() || cos_.size(0) < length) {
    // Doubled, so that decoding does not make it anew at every step.
    const int64_t rows = std::max({length, int64_t{512}, cos_.defined() ? 2 * cos_.size(0) : int64_t{0}});
    const int64_t half = config_.headDim / 2;
    const std::vector<double> frequencies = inverseFrequencies(config_);
    at::Tensor cosine = at::empty({rows, half}, at::kFloat), sine = at::empty({rows, half}, at::kFloat);
    float *c = cosine.data_ptr<float>(), *s = sine.data_ptr<float>();
    for (int64_t position = 0; position < rows; ++position) {
      for (int64_t i = 0; i < half; ++i) {
        // FP32 as Hugging Face computes it: the angle is rounded before its cosine is taken.
        const float angle = static_cast<float>(position) * static_cast<float>(frequencies[i]);
        c[position * half + i] = std::cos(angle);
        s[position * half + i] = std::sin(angle);
      }
    }
    cos_ = cosine.to(device_);
    sin_ = sine.to(device_);
  }
  return {cos_.narrow(0, 0, length), sin_.narrow(0, 0, length)};
}

}  // namespace bt
