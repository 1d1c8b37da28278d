#include "addon/convert.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "addon/fields.h"
#include "model/error.h"

namespace bt {

namespace {

const std::vector<std::string> kDtypes{"float32", "bfloat16", "float16"};
constexpr Range kPositive{.least = 0, .openLeast = true};
constexpr Range kNotNegative{.least = 0};
constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();

c10::ScalarType scalarType(const std::string& name) {
  if (name == "float32") return c10::ScalarType::Float;
  return name == "bfloat16" ? c10::ScalarType::BFloat16 : c10::ScalarType::Half;
}

RopeScaling toRopeScaling(Napi::Value value, const std::string& path) {
  Fields fields(value, path);
  RopeScaling scaling;
  scaling.factor = fields.number("factor", kPositive);
  if (fields.choice("type", {"linear", "llama3"}) == "linear") {
    scaling.type = RopeScaling::Type::linear;
    return scaling;
  }
  scaling.type = RopeScaling::Type::llama3;
  scaling.lowFreqFactor = fields.number("lowFreqFactor", kPositive, scaling.lowFreqFactor);
  scaling.highFreqFactor = fields.number("highFreqFactor", kPositive, scaling.highFreqFactor);
  scaling.originalMaxPositions = fields.integer("originalMaxPositions", 1, kMaxInt32, scaling.originalMaxPositions);
  if (scaling.highFreqFactor <= scaling.lowFreqFactor) {
    throw Error("BT_ARGUMENT", fields.path("highFreqFactor") + ": must be above lowFreqFactor");
  }
  return scaling;
}

ModelConfig toConfig(Napi::Value value, const std::string& path) {
  Fields fields(value, path);
  ModelConfig config;
  config.family = fields.choice("family", {"llama", "mistral", "qwen2", "qwen3"});
  config.vocabSize = fields.integer("vocabSize", 1, kMaxInt32);
  config.hiddenSize = fields.integer("hiddenSize", 1, kMaxInt32);
  config.intermediateSize = fields.integer("intermediateSize", 1, kMaxInt32);
  config.layers = fields.integer("layers", 1, 100'000);
  config.heads = fields.integer("heads", 1, 1'000'000);
  config.kvHeads = fields.integer("kvHeads", 1, 1'000'000);
  config.headDim = fields.integer("headDim", 2, 1'000'000);
  config.rmsNormEps = fields.number("rmsNormEps", kPositive);
  config.ropeTheta = fields.number("ropeTheta", kPositive);
  if (fields.has("ropeScaling")) config.ropeScaling = toRopeScaling(fields.value("ropeScaling"), path + ".ropeScaling");
  config.qkvBias = fields.boolean("qkvBias");
  config.outBias = fields.boolean("outBias");
  config.mlpBias = fields.boolean("mlpBias");
  config.qkNorm = fields.boolean("qkNorm");
  config.tieWordEmbeddings = fields.boolean("tieWordEmbeddings");
  config.slidingWindow = fields.integer("slidingWindow", 0, kMaxInt32);
  config.maxPositions = fields.integer("maxPositions", 1, kMaxInt32);
  if (config.heads % config.kvHeads != 0) {
    throw Error("BT_ARGUMENT", fields.path("kvHeads") + ": " + std::to_string(config.kvHeads) + " does not divide " +
                                   std::to_string(config.heads) + " heads");
  }
  if (config.heads * config.headDim > (1 << 24)) {
    throw Error("BT_ARGUMENT", fields.path("heads") + ": heads * headDim is above " + std::to_string(1 << 24));
  }
  if (config.headDim % 2 != 0) {
    throw Error("BT_ARGUMENT", fields.path("headDim") + ": rotary embedding needs an even number");
  }
  return config;
}

TensorEntry toEntry(Napi::Value value, const std::string& path, int64_t files) {
  static constexpr const char* kTypes[] = {"F32",  "F16",  "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1",
                                           "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"};
  Fields fields(value, path);
  TensorEntry entry;
  entry.name = fields.string("name");
  entry.type = fields.choice("type", std::vector<std::string>(std::begin(kTypes), std::end(kTypes)));
  entry.shape = toVector<int64_t>(
      fields.value("shape"), fields.path("shape"),
      [](Napi::Value size, const std::string& at) { return toInteger(size, at, 0, kMaxSafeInteger); });
  entry.file = fields.integer("file", 0, files - 1);
  entry.offset = fields.integer("offset");
  entry.byteLength = fields.integer("byteLength");
  entry.interleavedHeads = fields.integer("interleavedHeads", 0, 1'000'000, 0);
  return entry;
}

NamedMatrix toMatrix(Napi::Value value, const std::string& path) {
  Fields fields(value, path);
  NamedMatrix matrix;
  matrix.name = fields.string("name");
  auto shape =
      toVector<int64_t>(fields.value("shape"), fields.path("shape"),
                        [](Napi::Value size, const std::string& at) { return toInteger(size, at, 1, kMaxInt32); });
  if (shape.size() != 2) throw Error("BT_ARGUMENT", fields.path("shape") + ": expected two sizes");
  matrix.rows = shape[0];
  matrix.columns = shape[1];
  matrix.data = fields.floats("data");
  if (static_cast<int64_t>(matrix.data.size()) != matrix.rows * matrix.columns) {
    throw Error("BT_ARGUMENT", fields.path("data") + ": has " + std::to_string(matrix.data.size()) +
                                   " numbers, its shape asks for " + std::to_string(matrix.rows * matrix.columns));
  }
  return matrix;
}

SamplingOptions toSampling(const Fields& fields) {
  SamplingOptions options;
  options.temperature = fields.number("temperature", kNotNegative);
  options.topK = fields.integer("topK");
  options.topP = fields.number("topP", {.least = 0, .most = 1, .openLeast = true});
  options.minP = fields.number("minP", {.least = 0, .most = 1, .openMost = true});
  options.typicalP = fields.number("typicalP", {.least = 0, .most = 1, .openLeast = true}, 1);
  options.repetitionPenalty = fields.number("repetitionPenalty", {.least = 0.01, .most = 100});
  options.presencePenalty = fields.number("presencePenalty", {.least = -100, .most = 100}, 0);
  options.frequencyPenalty = fields.number("frequencyPenalty", {.least = -100, .most = 100}, 0);
  options.noRepeatNgram = fields.integer("noRepeatNgram", 0, kMaxInt32, 0);
  if (fields.has("logitBias")) {
    options.logitBias = toVector<std::pair<int32_t, float>>(
        fields.value("logitBias"), fields.path("logitBias"), [](Napi::Value entry, const std::string& path) {
          Fields one(entry, path);
          return std::pair{static_cast<int32_t>(one.integer("token", 0, kMaxInt32)),
                           static_cast<float>(one.number("bias", {.least = -1e6, .most = 1e6}))};
        });
  }
  options.seed = static_cast<uint64_t>(fields.integer("seed"));
  return options;
}

StopTexts toStopTexts(const Fields& fields) {
  StopTexts stops;
  stops.texts = toVector<std::string>(fields.value("texts"), fields.path("texts"), toText);
  for (const std::string& text : stops.texts) {
    if (text.empty()) throw Error("BT_ARGUMENT", fields.path("texts") + ": one of them is empty");
  }
  const std::vector<uint8_t> bytes = fields.bytes("bytes");
  stops.bytes.assign(bytes.begin(), bytes.end());
  stops.tokenStart = fields.int32s("tokenStart");
  const bool ordered = std::is_sorted(stops.tokenStart.begin(), stops.tokenStart.end());
  if (stops.tokenStart.empty() || stops.tokenStart.front() != 0 || !ordered ||
      stops.tokenStart.back() != static_cast<int64_t>(stops.bytes.size())) {
    throw Error("BT_ARGUMENT",
                fields.path("tokenStart") + ": expected ascending places from 0 to the end of the bytes");
  }
  return stops;
}

void set(Napi::Object& object, const char* name, double value) { object.Set(name, value); }

}  // namespace

RuntimeArguments toRuntime(Napi::Value value) {
  Fields fields(value, "options");
  RuntimeArguments arguments;
  if (fields.choice("device", {"cpu", "cuda"}) == "cuda") arguments.device = c10::DeviceType::CUDA;
  arguments.deviceIndex = fields.integer("deviceIndex", 0, 127, 0);
  arguments.threads = fields.integer("threads", 0, 4096);
  return arguments;
}

TensorExport toExport(Napi::Value value) {
  Fields fields(value, "options");
  TensorExport request;
  request.path = fields.string("path");
  request.tensor = toEntry(fields.value("tensor"), fields.path("tensor"), kMaxInt32);
  request.type = fields.choice("type", {"F32", "F16", "BF16", "Q8_0", "Q4_0"});
  request.interleavedHeads = fields.integer("interleavedHeads", 0, 1'000'000, 0);
  if (!fields.has("update")) return request;
  Fields update(fields.value("update"), fields.path("update"));
  request.update = {update.number("scale"), update.integer("r", 1, kMaxInt32), update.floats("a"), update.floats("b")};
  return request;
}

c10::ScalarType toDtype(Napi::Value value, const std::string& path) {
  if (value.IsString()) {
    const std::string name = value.As<Napi::String>().Utf8Value();
    if (std::find(kDtypes.begin(), kDtypes.end(), name) != kDtypes.end()) return scalarType(name);
  }
  refuse(path, "'float32' or 'bfloat16' or 'float16'", value);
}

const char* dtypeName(c10::ScalarType dtype) {
  if (dtype == c10::ScalarType::Float) return "float32";
  return dtype == c10::ScalarType::BFloat16 ? "bfloat16" : "float16";
}

LoadArguments toLoad(Napi::Value value) {
  Fields fields(value, "options");
  LoadArguments arguments;
  arguments.config = toConfig(fields.value("config"), "options.config");
  arguments.files = toVector<std::string>(fields.value("files"), "options.files", toText);
  const auto files = static_cast<int64_t>(arguments.files.size());
  arguments.tensors = toVector<TensorEntry>(
      fields.value("tensors"), "options.tensors",
      [files](Napi::Value entry, const std::string& path) { return toEntry(entry, path, files); });
  arguments.dtype = toDtype(fields.value("dtype"), "options.dtype");
  arguments.lazy = fields.boolean("lazy", false);
  return arguments;
}

LoraArguments toLora(Napi::Value value) {
  Fields fields(value, "options");
  LoraArguments arguments;
  LoraOptions& options = arguments.options;
  options.r = fields.integer("r", 1, 65'536);
  options.alpha = fields.number("alpha", kPositive);
  options.rsLora = fields.boolean("rsLora", false);
  options.targets =
      toVector<Target>(fields.value("targets"), "options.targets", [](Napi::Value name, const std::string& path) {
        try {
          return targetFromName(toText(name, path));
        } catch (const Error&) {
          refuse(path, "'q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj' or 'down_proj'", name);
        }
      });
  if (options.targets.empty()) throw Error("BT_ARGUMENT", "options.targets: names no module");
  for (size_t i = 0; i < options.targets.size(); i++) {
    if (std::count(options.targets.begin(), options.targets.begin() + static_cast<int64_t>(i), options.targets[i]) >
        0) {
      throw Error("BT_ARGUMENT", "options.targets[" + std::to_string(i) + "]: is there twice");
    }
  }
  options.dropout = fields.number("dropout", {.least = 0, .most = 1, .openMost = true});
  options.seed = static_cast<uint64_t>(fields.integer("seed"));
  if (fields.has("tensors")) {
    arguments.tensors = toMatrices(fields.value("tensors"), "options.tensors");
    if (arguments.tensors.empty()) throw Error("BT_ARGUMENT", "options.tensors: is empty");
  }
  return arguments;
}

std::vector<NamedMatrix> toMatrices(Napi::Value value, const std::string& path) {
  return toVector<NamedMatrix>(value, path, toMatrix);
}

PackedBatch toBatch(Napi::Value value, const std::string& path, const ModelConfig& config) {
  Fields fields(value, path);
  PackedBatch batch;
  batch.tokens = fields.int32s("tokens");
  batch.cuSeqlens = fields.int32s("cuSeqlens");
  batch.scored = fields.int32s("scored");
  batch.rows = fields.int32s("rows");
  try {
    batch.validate(config);
  } catch (const Error& error) {
    const std::string what = error.what();  // "batch: row 3 ..."
    throw Error("BT_ARGUMENT", path + what.substr(what.rfind("batch:", 0) == 0 ? 5 : 0));
  }
  return batch;
}

std::vector<PackedBatch> toBatches(Napi::Value value, const std::string& path, const ModelConfig& config) {
  auto batches = toVector<PackedBatch>(
      value, path, [&config](Napi::Value batch, const std::string& at) { return toBatch(batch, at, config); });
  if (batches.empty()) throw Error("BT_ARGUMENT", path + ": is empty");
  return batches;
}

TrainerArguments toTrainer(Napi::Value value) {
  Fields fields(value, "options");
  TrainerArguments arguments;
  arguments.precision = fields.choice("precision", {"fp32", "bf16", "fp16"});
  TrainerOptions& options = arguments.options;
  options.scaled = arguments.precision == "fp16";
  if (fields.has("engine")) {
    const std::string engine = fields.choice("engine", {"fused", "aten", "reference"});
    if (engine == "aten") options.engine = EngineKind::aten;
    if (engine == "reference") options.engine = EngineKind::reference;
  }
  if (fields.has("graphs")) {
    const std::string graphs = fields.choice("graphs", {"auto", "off", "padded"});
    if (graphs != "auto") options.graphs = graphs == "off" ? Graphs::off : Graphs::padded;
  }
  options.recompute = fields.boolean("recompute", false);
  options.beta1 = fields.number("beta1", {.least = 0, .most = 1, .openMost = true});
  options.beta2 = fields.number("beta2", {.least = 0, .most = 1, .openMost = true});
  options.eps = fields.number("eps", kPositive);
  options.weightDecay = fields.number("weightDecay", kNotNegative);
  options.maxGradNorm = fields.number("maxGradNorm", kNotNegative);
  options.seed = static_cast<uint64_t>(fields.integer("seed"));
  options.initialScale = fields.number("initialScale", kPositive, options.initialScale);
  options.growthInterval = fields.integer("growthInterval", 1, kMaxInt32, options.growthInterval);
  return arguments;
}

StepArguments toStep(Napi::Value value) {
  Fields fields(value, "options");
  return {fields.number("learningRate", kNotNegative), fields.integer("step", 1)};
}

TrainerState toState(Napi::Value value) {
  Fields fields(value, "state");
  TrainerState state;
  state.optimizerStep = fields.integer("optimizerStep");
  state.scale = fields.number("scale", kPositive);
  state.growthTracker = fields.integer("growthTracker", 0, kMaxInt32);
  state.expAvg = fields.floats("expAvg");
  state.expAvgSq = fields.floats("expAvgSq");
  return state;
}

SamplerOptions toSampler(Napi::Value value) {
  Fields fields(value, "options");
  SamplerOptions options;
  options.sampling = toSampling(fields);
  options.maxSequences = fields.integer("maxSequences", 1, 1'000'000);
  options.maxTokens = fields.integer("maxTokens", 1, kMaxInt32);
  options.stopTokens = toVector<int32_t>(fields.value("stopTokens"), "options.stopTokens",
                                         [](Napi::Value token, const std::string& path) {
                                           return static_cast<int32_t>(toInteger(token, path, 0, kMaxInt32));
                                         });
  if (fields.has("engine") && fields.choice("engine", {"auto", "aten"}) == "aten") {
    options.engine = SamplerOptions::Engine::aten;
  }
  if (fields.has("weights")) {
    const std::string weights = fields.choice("weights", {"model", "int8", "int4"});
    if (weights != "model") {
      options.weights = weights == "int8" ? SamplerOptions::Weights::int8 : SamplerOptions::Weights::int4;
    }
  }
  options.keepAdapter = fields.boolean("keepAdapter", false);
  options.cacheBytes = fields.integer("cacheBytes", 0, kMaxSafeInteger, 0);
  options.lookup = fields.integer("lookup", 0, 64, -1);
  if (fields.has("stopTexts")) options.stopTexts = toStopTexts(Fields(fields.value("stopTexts"), "options.stopTexts"));
  return options;
}

std::vector<SamplerPrompt> toPrompts(Napi::Value value) {
  return toVector<SamplerPrompt>(value, "prompts", [](Napi::Value prompt, const std::string& path) {
    Fields fields(prompt, path);
    SamplerPrompt result;
    result.id = fields.integer("id", -kMaxSafeInteger, kMaxSafeInteger);
    result.tokens = fields.int32s("tokens");
    result.maxNewTokens = fields.integer("maxNewTokens", 1, kMaxInt32);
    if (fields.has("temperature")) result.temperature = fields.number("temperature", kNotNegative);
    return result;
  });
}

Napi::Value fromBytes(Napi::Env env, const std::vector<uint8_t>& bytes) {
  auto array = Napi::Uint8Array::New(env, bytes.size());
  if (!bytes.empty()) std::memcpy(array.Data(), bytes.data(), bytes.size());
  return array;
}

Napi::Value fromFloats(Napi::Env env, const std::vector<float>& values) {
  auto array = Napi::Float32Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(float));
  return array;
}

Napi::Value fromMatrices(Napi::Env env, const std::vector<NamedMatrix>& matrices) {
  auto result = Napi::Array::New(env, matrices.size());
  for (size_t i = 0; i < matrices.size(); i++) {
    Napi::HandleScope scope(env);
    const NamedMatrix& matrix = matrices[i];
    auto object = Napi::Object::New(env);
    auto shape = Napi::Array::New(env, 2);
    shape.Set(0u, static_cast<double>(matrix.rows));
    shape.Set(1u, static_cast<double>(matrix.columns));
    object.Set("name", matrix.name);
    object.Set("shape", shape);
    object.Set("data", fromFloats(env, matrix.data));
    result.Set(static_cast<uint32_t>(i), object);
  }
  return result;
}

Napi::Value fromStep(Napi::Env env, const StepResult& result, double milliseconds) {
  auto object = Napi::Object::New(env);
  set(object, "loss", result.loss);
  set(object, "scoredTokens", static_cast<double>(result.scoredTokens));
  set(object, "tokens", static_cast<double>(result.tokens));
  set(object, "gradNorm", result.gradNorm);
  set(object, "scale", result.scale);
  object.Set("skipped", result.skipped);
  set(object, "milliseconds", milliseconds);
  return object;
}

Napi::Value fromNotFinite(Napi::Env env, const std::optional<NotFinite>& found) {
  if (!found) return env.Null();
  constexpr const char* names[] = {"weight", "hidden", "loss", "gradient"};
  auto object = Napi::Object::New(env);
  object.Set("what", names[static_cast<int>(found->what)]);
  set(object, "layer", static_cast<double>(found->layer));
  if (found->row >= 0) set(object, "row", static_cast<double>(found->row));
  if (!found->tensor.empty()) object.Set("tensor", found->tensor);
  return object;
}

Napi::Value fromState(Napi::Env env, const TrainerState& state) {
  auto object = Napi::Object::New(env);
  set(object, "optimizerStep", static_cast<double>(state.optimizerStep));
  set(object, "scale", state.scale);
  set(object, "growthTracker", static_cast<double>(state.growthTracker));
  object.Set("expAvg", fromFloats(env, state.expAvg));
  object.Set("expAvgSq", fromFloats(env, state.expAvgSq));
  return object;
}

Napi::Value fromAdvance(Napi::Env env, const AdvanceResult& result, double milliseconds) {
  auto object = Napi::Object::New(env);
  auto finished = Napi::Array::New(env, result.finished.size());
  for (size_t i = 0; i < result.finished.size(); i++) {
    Napi::HandleScope scope(env);
    const Finished& row = result.finished[i];
    auto entry = Napi::Object::New(env);
    auto tokens = Napi::Int32Array::New(env, row.tokens.size());
    std::copy(row.tokens.begin(), row.tokens.end(), tokens.Data());
    set(entry, "id", static_cast<double>(row.id));
    entry.Set("tokens", tokens);
    entry.Set("logProbs", fromFloats(env, row.logProbs));
    static constexpr const char* reasons[] = {"stop", "length", "not-finite"};
    entry.Set("reason", reasons[static_cast<int>(row.reason)]);
    finished.Set(static_cast<uint32_t>(i), entry);
  }
  object.Set("finished", finished);
  set(object, "active", static_cast<double>(result.active));
  set(object, "waiting", static_cast<double>(result.waiting));
  set(object, "generated", static_cast<double>(result.generated));
  set(object, "computed", static_cast<double>(result.computed));
  set(object, "proposed", static_cast<double>(result.proposed));
  set(object, "taken", static_cast<double>(result.taken));
  set(object, "milliseconds", milliseconds);
  return object;
}

}  // namespace bt
