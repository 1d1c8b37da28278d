// The memory that a model's weights lie in on the CPU: a few long stretches, on large pages where the system gives
// them. Touching 270 MB for the first time takes 23 ms on large pages and 80 ms on small ones, on two threads of a
// virtual machine.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace bt {

class WeightMemory {
 public:
  // A new tensor, uninitialised, 64-byte aligned. What it lies in goes with the last tensor of the same stretch.
  // Throws Error BT_OUT_OF_MEMORY.
  at::Tensor take(const std::vector<int64_t>& shape, at::ScalarType dtype);

 private:
  class Stretch;
  std::shared_ptr<Stretch> stretch_;  // the last one
};

}  // namespace bt
