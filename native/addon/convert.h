// JavaScript values to the structs of the C++ side and back. Every field is checked; a wrong one is BT_ARGUMENT with
// its path ("options.config.layers"). Typed arrays are copied. JavaScript's thread.
#pragma once
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>
#include <napi.h>

#include <string>
#include <vector>

#include "model/batch.h"
#include "model/config.h"
#include "model/lora.h"
#include "model/tensor_export.h"
#include "sample/sampler.h"
#include "train/trainer.h"

namespace bt {

struct RuntimeArguments {
  c10::DeviceType device = c10::DeviceType::CPU;
  int64_t deviceIndex = 0;
  int64_t threads = 0;
};

struct LoadArguments {
  ModelConfig config;
  std::vector<std::string> files;
  std::vector<TensorEntry> tensors;
  c10::ScalarType dtype = c10::ScalarType::Float;
  bool lazy = false;
};

struct LoraArguments {
  LoraOptions options;
  std::vector<NamedMatrix> tensors;
};

struct TrainerArguments {
  TrainerOptions options;
  std::string precision;
};

struct StepArguments {
  double learningRate = 0;
  int64_t step = 0;
};

RuntimeArguments toRuntime(Napi::Value value);
LoadArguments toLoad(Napi::Value value);
TensorExport toExport(Napi::Value value);
c10::ScalarType toDtype(Napi::Value value, const std::string& path);
const char* dtypeName(c10::ScalarType dtype);
LoraArguments toLora(Napi::Value value);
std::vector<NamedMatrix> toMatrices(Napi::Value value, const std::string& path);
PackedBatch toBatch(Napi::Value value, const std::string& path, const ModelConfig& config);
std::vector<PackedBatch> toBatches(Napi::Value value, const std::string& path, const ModelConfig& config);
TrainerArguments toTrainer(Napi::Value value);
StepArguments toStep(Napi::Value value);
TrainerState toState(Napi::Value value);
SamplerOptions toSampler(Napi::Value value);
std::vector<SamplerPrompt> toPrompts(Napi::Value value);
int64_t toInteger(Napi::Value value, const std::string& path, int64_t least, int64_t most);

Napi::Value fromBytes(Napi::Env env, const std::vector<uint8_t>& bytes);
Napi::Value fromFloats(Napi::Env env, const std::vector<float>& values);
Napi::Value fromMatrices(Napi::Env env, const std::vector<NamedMatrix>& matrices);
Napi::Value fromStep(Napi::Env env, const StepResult& result, double milliseconds);
Napi::Value fromNotFinite(Napi::Env env, const std::optional<NotFinite>& found);
Napi::Value fromState(Napi::Env env, const TrainerState& state);
Napi::Value fromAdvance(Napi::Env env, const AdvanceResult& result, double milliseconds);

}  // namespace bt
