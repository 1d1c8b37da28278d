// Named buffers that are kept from step to step: after the first few steps nothing is allocated, and no fresh page is
// touched (page faults of new buffers were the largest single cost of a training step).
#pragma once
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace bt {

// Bytes of buffers in use, by name; those that each layer has are one entry.
using BufferBytes = std::map<std::string, int64_t>;

class Arena {
 public:
  Arena(at::ScalarType dtype, at::Device device) : dtype_(dtype), device_(device) {}

  // A contiguous tensor of this shape over the buffer `name` (of layer `index`, where there is one a layer). Its
  // content is whatever was there; the next get() of the same buffer shares its memory. Throws BT_OUT_OF_MEMORY.
  at::Tensor get(const char* name, at::IntArrayRef shape, int64_t index = 0) { return get(name, shape, dtype_, index); }
  at::Tensor get(const char* name, at::IntArrayRef shape, at::ScalarType dtype, int64_t index) {
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    Buffer& buffer = buffers_[{name, index}];
    if (!buffer.memory.defined() || buffer.memory.numel() < count) {
      ++generation_;
      buffer = {};  // freed before the larger one is taken
      buffer.memory = allocate(name, count + count / 8, dtype);
    }
    buffer.most = std::max(buffer.most, count);
    return buffer.memory.narrow(0, 0, count).view(shape);
  }

  // Adds what was used of each buffer: on a CPU the pages that were touched, without the room to grow.
  void addTo(BufferBytes& bytes) const {
    for (const auto& [key, buffer] : buffers_) {
      if (!buffer.memory.defined()) continue;  // it could not be had
      bytes[key.first] += buffer.most * static_cast<int64_t>(buffer.memory.element_size());
    }
  }

  // Changes when a buffer has moved.
  int64_t generation() const { return generation_; }

 private:
  struct Buffer {
    at::Tensor memory;
    int64_t most = 0;  // elements of its largest tensor
  };

  // Throws Error BT_OUT_OF_MEMORY that names the buffer.
  at::Tensor allocate(const std::string& name, int64_t count, at::ScalarType dtype) const;

  at::ScalarType dtype_;
  at::Device device_;
  int64_t generation_ = 0;
  std::map<std::pair<std::string, int64_t>, Buffer> buffers_;
};

}  // namespace bt
