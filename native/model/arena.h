// Named buffers that are kept from step to step: after the first few steps nothing is allocated, and no fresh page is
// touched (page faults of new buffers were the largest single cost of a training step).
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <map>
#include <string>
#include <utility>

namespace bt {

class Arena {
 public:
  Arena(at::ScalarType dtype, at::Device device) : dtype_(dtype), device_(device) {}

  // A contiguous tensor of this shape over the buffer `name` (of layer `index`, where there is one a layer). Its
  // content is whatever was there; the next get() of the same buffer shares its memory.
  at::Tensor get(const char* name, at::IntArrayRef shape, int64_t index = 0) { return get(name, shape, dtype_, index); }
  at::Tensor get(const char* name, at::IntArrayRef shape, at::ScalarType dtype, int64_t index) {
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    at::Tensor& buffer = buffers_[{name, index}];
    if (!buffer.defined() || buffer.numel() < count) {
      ++generation_;
      buffer = at::Tensor();  // freed before the larger one is taken
      buffer = at::empty({count + count / 8}, at::TensorOptions().dtype(dtype).device(device_));
    }
    return buffer.narrow(0, 0, count).view(shape);
  }

  // Changes when a buffer has moved.
  int64_t generation() const { return generation_; }

 private:
  at::ScalarType dtype_;
  at::Device device_;
  int64_t generation_ = 0;
  std::map<std::pair<std::string, int64_t>, at::Tensor> buffers_;
};

}  // namespace bt
