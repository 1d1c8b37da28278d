// Weights packed for generation, kept as long as somebody uses them: adapters over one model share what none of them
// changes.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/linear.h"
#include "model/weight_memory.h"

namespace bt {

// A weight [out, in] with its bias, in the order of kernels/linear.h.
class PackedMatrix {
 public:
  // Uninitialised. Throws BT_OUT_OF_MEMORY.
  PackedMatrix(WeightKind kind, int64_t out, int64_t in, WeightMemory& memory);

  const PackedWeight& weight() const { return weight_; }
  int64_t bytes() const { return static_cast<int64_t>(memory_.nbytes()); }
  void setBias(std::vector<float> bias);

 private:
  at::Tensor memory_;
  std::vector<float> bias_;
  PackedWeight weight_;
};

// Finds the packed weights that are in use. Worker thread only.
class PackedMatrices {
 public:
  // What `make` gives, or what it gave before under this name and kind, while that is in use.
  std::shared_ptr<const PackedMatrix> get(const std::string& name, WeightKind kind,
                                          const std::function<std::shared_ptr<PackedMatrix>()>& make);
  // Counts a matrix that is nobody else's.
  void count(const std::shared_ptr<const PackedMatrix>& matrix) { own_.push_back(matrix); }
  // Of all that are in use.
  int64_t bytes() const;

 private:
  std::map<std::pair<std::string, WeightKind>, std::weak_ptr<const PackedMatrix>> shared_;
  std::vector<std::weak_ptr<const PackedMatrix>> own_;
};

}  // namespace bt
