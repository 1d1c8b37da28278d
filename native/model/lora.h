// Trainable low-rank updates of a model's linear layers: y += scale * B A x. PEFT's definition and initialisation.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"

namespace bt {

// In the order of a layer's forward pass.
enum class Target { q, k, v, o, gate, up, down };
inline constexpr int kTargets = 7;

// Throws Error BT_ARGUMENT for a name that is none of "q_proj" .. "down_proj".
Target targetFromName(const std::string& name);
// "self_attn.q_proj" .. "mlp.down_proj"
const char* targetPath(Target target);
// Input and output width of a target in this model.
int64_t targetIn(const ModelConfig& config, Target target);
int64_t targetOut(const ModelConfig& config, Target target);

// One matrix as it crosses the surface. name: "layers.3.self_attn.q_proj.lora_A"
struct NamedMatrix {
  std::string name;
  int64_t rows = 0, columns = 0;
  std::vector<float> data;  // row-major
};

struct LoraOptions {
  int64_t r = 16;
  double alpha = 32;
  bool rsLora = false;
  std::vector<Target> targets;
  double dropout = 0;
  uint64_t seed = 0;
};

// A: [r, in], B: [out, r], FP32 views of Lora::weights that autograd treats as leaves; undefined for other targets.
struct LoraPair {
  at::Tensor a, b;
};

class Lora {
 public:
  // A Kaiming-uniform(sqrt 5) from options.seed, B zero; or, when `tensors` is not empty, all matrices from there.
  // Throws BT_ARGUMENT for a missing, unknown or misshapen matrix.
  Lora(const ModelConfig& config, const LoraOptions& options, at::Device device,
       const std::vector<NamedMatrix>& tensors);

  const LoraOptions& options() const { return options_; }
  double scale() const { return scale_; }
  const LoraPair& pair(int64_t layer, Target target) const {
    return pairs_[layer * kTargets + static_cast<int>(target)];
  }

  // All matrices, one flat FP32 buffer each for weights and gradients ([P]): the optimizer sees two tensors.
  at::Tensor weights, gradients;

  // For each layer, for each target in forward order, A then B. From `flat`: weights, gradients or moments.
  std::vector<NamedMatrix> matrices(const at::Tensor& flat) const;
  std::vector<NamedMatrix> matrices() const { return matrices(weights); }
  // Replaces all matrices. Throws BT_ARGUMENT as the constructor does.
  void load(const std::vector<NamedMatrix>& tensors);

 private:
  struct Slot {
    std::string name;
    int64_t rows, columns, offset;
  };
  LoraOptions options_;
  double scale_;
  std::vector<Slot> slots_;
  std::vector<LoraPair> pairs_;
};

}  // namespace bt
