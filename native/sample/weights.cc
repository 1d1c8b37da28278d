#include "sample/weights.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "kernels/dequant.h"
#include "kernels/parallel.h"
#include "model/abort.h"
#include "model/error.h"
#include "model/weight_read.h"

namespace bt {

namespace {

// Elements that are widened at once: 16 MB of floats.
constexpr int64_t pieceElements = int64_t{1} << 22;

// One stored weight among those that a packed matrix holds one below another.
struct Part {
  std::string name;
  int64_t rows;
  std::optional<Target> target;  // what an adapter adds to
};

class Packer {
 public:
  Packer(Model& model, const Lora* lora, const WeightOptions& options)
      : model_(model), source_(model.source()), lora_(lora), options_(options) {}

  std::vector<float> vector(const std::string& name, int64_t size) {
    std::vector<float> values(static_cast<size_t>(size));
    const at::Tensor there = at::from_blob(values.data(), {size}, at::kFloat);
    const TensorEntry& entry = source_.find(name, {size});
    reader_.read(source_.file(entry), entry, there);
    return values;
  }

  // The stored parts' weights, and biases where there are any, one below another.
  std::shared_ptr<const PackedMatrix> matrix(int64_t layer, const std::vector<Part>& parts, int64_t width, bool bias) {
    bool changed = false;
    for (const Part& part : parts) changed = changed || (part.target && merges(layer, *part.target));
    const auto make = [&] { return pack(layer, parts, width, bias, options_.kind); };
    if (!changed) return model_.packed.get(parts[0].name, options_.kind, make);
    std::shared_ptr<const PackedMatrix> own = make();
    model_.packed.count(own);
    return own;
  }

  // Rows are tokens, whose few bits would cost most where they are four: those are held in eight.
  std::shared_ptr<const PackedMatrix> tokens(const std::string& name) {
    const WeightKind kind = options_.kind == WeightKind::int4 ? WeightKind::int8 : options_.kind;
    const ModelConfig& config = model_.config();
    return model_.packed.get(
        name, kind, [&] { return pack(-1, {{name, config.vocabSize, std::nullopt}}, config.hiddenSize, false, kind); });
  }

  std::vector<ApartPair> apart(int64_t layer, const std::vector<Part>& parts) {
    std::vector<ApartPair> pairs;
    if (lora_ == nullptr || !options_.keepAdapter) return pairs;
    int64_t from = 0;
    for (const Part& part : parts) {
      const LoraPair& pair = lora_->pair(layer, *part.target);
      if (pair.a.defined()) pairs.push_back({packPlain(pair.a, 1), packPlain(pair.b, lora_->scale()), from});
      from += part.rows;
    }
    return pairs;
  }

 private:
  bool merges(int64_t layer, Target target) const {
    return lora_ != nullptr && !options_.keepAdapter && lora_->pair(layer, target).a.defined();
  }

  std::shared_ptr<PackedMatrix> pack(int64_t layer, const std::vector<Part>& parts, int64_t width, bool bias,
                                     WeightKind kind) {
    int64_t rows = 0;
    for (const Part& part : parts) rows += part.rows;
    auto matrix = std::make_shared<PackedMatrix>(kind, rows, width, memory_);
    int64_t first = 0;
    for (const Part& part : parts) {
      checkAbort();
      packPart(matrix->weight(), layer, part, first, width);
      first += part.rows;
    }
    if (bias) {
      std::vector<float> values;
      for (const Part& part : parts) {
        const std::vector<float> more = vector(part.name + ".bias", part.rows);
        values.insert(values.end(), more.begin(), more.end());
      }
      matrix->setBias(std::move(values));
    }
    return matrix;
  }

  void packPart(const PackedWeight& weight, int64_t layer, const Part& part, int64_t first, int64_t width) {
    const TensorEntry& entry = source_.find(part.name + ".weight", {part.rows, width});
    const bool merged = part.target && merges(layer, *part.target);
    const bool sameBlocks = (weight.kind == WeightKind::int8 && entry.type == "Q8_0") ||
                            (weight.kind == WeightKind::int4 && entry.type == "Q4_0");
    if (!merged && sameBlocks) return packStored(weight, entry, first);
    // Rows by rows, to keep the wide copy small; all at once where they change places.
    const int64_t most = entry.interleavedHeads > 0 ? part.rows : std::max<int64_t>(1, pieceElements / width);
    for (int64_t row = 0; row < part.rows; row += most) {
      const int64_t rows = std::min(most, part.rows - row);
      at::Tensor wide = scratch(rows, width);
      reader_.read(source_.file(entry), rowsOf(entry, row, rows), wide);
      if (merged) {
        const LoraPair& pair = lora_->pair(layer, *part.target);
        wide.addmm_(pair.b.narrow(0, row, rows), pair.a, 1, lora_->scale());
      }
      try {
        packRows(weight, first + row, rows, wide.const_data_ptr<float>());
      } catch (const std::invalid_argument& error) {
        throw Error("BT_TENSOR_RANGE", "tensor " + entry.name + ": " + error.what());
      }
    }
  }

  // Some rows of a weight as a tensor of their own.
  static TensorEntry rowsOf(const TensorEntry& entry, int64_t first, int64_t count) {
    TensorEntry some = entry;
    const int64_t bytes = entry.byteLength / entry.shape[0];
    some.shape[0] = count;
    some.offset += first * bytes;
    some.byteLength = count * bytes;
    return some;
  }

  // Blocks as they are, each row at its place.
  void packStored(const PackedWeight& weight, const TensorEntry& entry, int64_t first) {
    const int64_t rows = entry.shape[0], bytes = entry.byteLength / rows, heads = entry.interleavedHeads;
    std::vector<uint8_t> stored(static_cast<size_t>(entry.byteLength));
    source_.file(entry).read(entry.offset, entry.byteLength, stored.data());
    if (heads == 0) return packBlocks(weight, first, rows, stored.data());
    if (rows % (2 * heads) != 0) {
      throw Error("BT_TENSOR_SHAPE", "tensor " + entry.name + ": " + std::to_string(rows) +
                                         " rows do not divide into " + std::to_string(heads) + " rotary heads");
    }
    const int64_t half = rows / heads / 2;
    parallelTasks(rows, [&](int64_t row) {
      // (head, pair, {even, odd}) -> (head, {even, odd}, pair)
      const int64_t head = row / (2 * half), pair = row % (2 * half) / 2, odd = row % 2;
      packBlocks(weight, first + (head * 2 + odd) * half + pair, 1, stored.data() + row * bytes);
    });
  }

  std::shared_ptr<const PackedMatrix> packPlain(const at::Tensor& matrix, double scale) {
    const at::Tensor values = (matrix.detach() * scale).contiguous();
    const WeightKind kind = model_.dtype() == at::kFloat ? WeightKind::fp32 : WeightKind::bf16;
    auto packed = std::make_shared<PackedMatrix>(kind, values.size(0), values.size(1), memory_);
    packRows(packed->weight(), 0, values.size(0), values.const_data_ptr<float>());
    model_.packed.count(packed);
    return packed;
  }

  at::Tensor scratch(int64_t rows, int64_t width) {
    if (!scratch_.defined() || scratch_.numel() < rows * width) {
      scratch_.reset();  // freed before the larger one is taken
      scratch_ = at::empty({rows * width}, at::kFloat);
    }
    return scratch_.narrow(0, 0, rows * width).view({rows, width});
  }

  Model& model_;
  const WeightSource& source_;
  const Lora* lora_;
  WeightOptions options_;
  WeightMemory memory_;
  WeightReader reader_;
  at::Tensor scratch_;
};

GenerationLayer packLayer(Packer& packer, const ModelConfig& config, int64_t index) {
  const std::string prefix = "model.layers." + std::to_string(index) + ".";
  const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
  const int64_t q = config.qSize(), kv = config.kvSize(), hidden = config.hiddenSize, inner = config.intermediateSize;
  const std::vector<Part> qkv = {{attention + "q_proj", q, Target::q},
                                 {attention + "k_proj", kv, Target::k},
                                 {attention + "v_proj", kv, Target::v}};
  const std::vector<Part> out = {{attention + "o_proj", hidden, Target::o}};
  const std::vector<Part> gateUp = {{mlp + "gate_proj", inner, Target::gate}, {mlp + "up_proj", inner, Target::up}};
  const std::vector<Part> down = {{mlp + "down_proj", hidden, Target::down}};
  GenerationLayer layer;
  layer.inputNorm = packer.vector(prefix + "input_layernorm.weight", hidden);
  layer.postNorm = packer.vector(prefix + "post_attention_layernorm.weight", hidden);
  if (config.qkNorm) {
    layer.qNorm = packer.vector(attention + "q_norm.weight", config.headDim);
    layer.kNorm = packer.vector(attention + "k_norm.weight", config.headDim);
  }
  layer.qkv = packer.matrix(index, qkv, hidden, config.qkvBias);
  layer.out = packer.matrix(index, out, q, config.outBias);
  layer.gateUp = packer.matrix(index, gateUp, hidden, config.mlpBias);
  layer.down = packer.matrix(index, down, inner, config.mlpBias);
  layer.qkvPairs = packer.apart(index, qkv);
  layer.outPairs = packer.apart(index, out);
  layer.gateUpPairs = packer.apart(index, gateUp);
  layer.downPairs = packer.apart(index, down);
  return layer;
}

}  // namespace

GenerationWeights::GenerationWeights(Model& model, const Lora* lora, const WeightOptions& options) {
  const at::NoGradGuard noGrad;
  const ModelConfig& config = model.config();
  Packer packer(model, lora, options);
  embedding = packer.tokens("model.embed_tokens");
  finalNorm = packer.vector("model.norm.weight", config.hiddenSize);
  head = config.tieWordEmbeddings ? embedding : packer.tokens("lm_head");
  for (int64_t i = 0; i < config.layers; ++i) layers.push_back(packLayer(packer, config, i));
}

}  // namespace bt
