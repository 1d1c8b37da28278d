#include "model/lora.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <unordered_map>

#include "kernels/random.h"
#include "model/error.h"

namespace bt {

namespace {

struct TargetRow {
  const char* name;
  const char* path;
};
// In the order of enum Target.
constexpr TargetRow targetTable[kTargets] = {
    {"q_proj", "self_attn.q_proj"}, {"k_proj", "self_attn.k_proj"}, {"v_proj", "self_attn.v_proj"},
    {"o_proj", "self_attn.o_proj"}, {"gate_proj", "mlp.gate_proj"}, {"up_proj", "mlp.up_proj"},
    {"down_proj", "mlp.down_proj"},
};

}  // namespace

Target targetFromName(const std::string& name) {
  for (int i = 0; i < kTargets; ++i) {
    if (name == targetTable[i].name) return static_cast<Target>(i);
  }
  throw Error("BT_ARGUMENT",
              "unknown target module \"" + name + "\"; known: q_proj k_proj v_proj o_proj gate_proj up_proj down_proj");
}

const char* targetPath(Target target) { return targetTable[static_cast<int>(target)].path; }

int64_t targetIn(const ModelConfig& config, Target target) {
  switch (target) {
    case Target::o: return config.qSize();
    case Target::down: return config.intermediateSize;
    default: return config.hiddenSize;
  }
}

int64_t targetOut(const ModelConfig& config, Target target) {
  switch (target) {
    case Target::q: return config.qSize();
    case Target::k:
    case Target::v: return config.kvSize();
    case Target::gate:
    case Target::up: return config.intermediateSize;
    default: return config.hiddenSize;
  }
}

Lora::Lora(const ModelConfig& config, const LoraOptions& options, at::Device device,
           const std::vector<NamedMatrix>& tensors)
    : options_(options) {
  if (options.r < 1) throw Error("BT_ARGUMENT", "lora: r must be at least 1");
  if (options.targets.empty()) throw Error("BT_ARGUMENT", "lora: targets is empty");
  if (options.dropout < 0 || options.dropout >= 1) throw Error("BT_ARGUMENT", "lora: dropout must be in [0, 1)");
  const auto r = static_cast<double>(options.r);
  scale_ = options.alpha / (options.rsLora ? std::sqrt(r) : r);

  bool wanted[kTargets] = {};
  for (const Target target : options.targets) wanted[static_cast<int>(target)] = true;
  int64_t total = 0;
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    for (int t = 0; t < kTargets; ++t) {
      if (!wanted[t]) continue;
      const auto target = static_cast<Target>(t);
      const std::string prefix = "layers." + std::to_string(layer) + "." + targetPath(target);
      const int64_t in = targetIn(config, target), out = targetOut(config, target);
      slots_.push_back({prefix + ".lora_A", options.r, in, total});
      slots_.push_back({prefix + ".lora_B", out, options.r, total + options.r * in});
      total += options.r * (in + out);
    }
  }

  weights = at::zeros({total}, at::kFloat);
  float* flat = weights.data_ptr<float>();
  for (size_t s = 0; s < slots_.size(); s += 2) {
    const Slot& a = slots_[s];
    // Kaiming-uniform with a = sqrt 5 has bound sqrt(6 / ((1 + 5) in)) = 1 / sqrt(in).
    const float bound = 1.0f / std::sqrt(static_cast<float>(a.columns));
    for (int64_t i = 0; i < a.rows * a.columns; ++i) {
      const uint64_t bits = mixKey(options.seed, Purpose::loraInit, s, static_cast<uint64_t>(i));
      flat[a.offset + i] = bound * (2 * uniformFloat(bits) - 1);
    }
  }
  if (!tensors.empty()) load(tensors);
  weights = weights.to(device);
  gradients = at::zeros({total}, weights.options());

  pairs_.resize(config.layers * kTargets);
  size_t s = 0;
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    for (int t = 0; t < kTargets; ++t) {
      if (!wanted[t]) continue;
      const auto leaf = [&](const Slot& slot) {
        at::Tensor view = weights.narrow(0, slot.offset, slot.rows * slot.columns).view({slot.rows, slot.columns});
        view = view.detach().requires_grad_(true);
        // Backward accumulates in place, so gradients land in the flat buffer.
        view.mutable_grad() =
            gradients.narrow(0, slot.offset, slot.rows * slot.columns).view({slot.rows, slot.columns});
        return view;
      };
      pairs_[layer * kTargets + t] = {leaf(slots_[s]), leaf(slots_[s + 1])};
      s += 2;
    }
  }
}

std::vector<NamedMatrix> Lora::matrices(const at::Tensor& flat) const {
  const at::Tensor host = flat.detach().cpu().contiguous();
  const float* data = host.data_ptr<float>();
  std::vector<NamedMatrix> result;
  result.reserve(slots_.size());
  for (const Slot& slot : slots_) {
    const float* begin = data + slot.offset;
    result.push_back({slot.name, slot.rows, slot.columns, {begin, begin + slot.rows * slot.columns}});
  }
  return result;
}

void Lora::load(const std::vector<NamedMatrix>& tensors) {
  std::unordered_map<std::string, const NamedMatrix*> byName;
  for (const auto& tensor : tensors) byName[tensor.name] = &tensor;
  if (byName.size() != slots_.size() || tensors.size() != slots_.size()) {
    throw Error("BT_ARGUMENT", "lora: " + std::to_string(tensors.size()) + " matrices were given; this adapter has " +
                                   std::to_string(slots_.size()));
  }
  at::Tensor host = at::empty({weights.numel()}, at::kFloat);
  float* flat = host.data_ptr<float>();
  for (const Slot& slot : slots_) {
    const auto found = byName.find(slot.name);
    if (found == byName.end()) throw Error("BT_ARGUMENT", "lora: matrix " + slot.name + " is missing");
    const NamedMatrix& matrix = *found->second;
    if (matrix.rows != slot.rows || matrix.columns != slot.columns ||
        static_cast<int64_t>(matrix.data.size()) != slot.rows * slot.columns) {
      throw Error("BT_ARGUMENT", "lora: matrix " + slot.name + " has shape [" + std::to_string(matrix.rows) + ", " +
                                     std::to_string(matrix.columns) + "]; [" + std::to_string(slot.rows) + ", " +
                                     std::to_string(slot.columns) + "] is needed");
    }
    std::copy(matrix.data.begin(), matrix.data.end(), flat + slot.offset);
  }
  at::NoGradGuard noGrad;
  weights.copy_(host);
}

}  // namespace bt
