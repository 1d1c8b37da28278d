#include "model/weight_memory.h"

#include <ATen/ops/from_blob.h>
#include <sys/mman.h>

#include <algorithm>
#include <string>

#include "model/error.h"

namespace bt {

namespace {
constexpr int64_t largePage = int64_t{2} << 20;
constexpr int64_t alignment = 64;
// Address space of a stretch; memory comes with the first touch.
constexpr int64_t usualStretch = int64_t{256} << 20;

int64_t roundUp(int64_t value, int64_t to) { return (value + to - 1) / to * to; }
}  // namespace

class WeightMemory::Stretch {
 public:
  explicit Stretch(int64_t bytes) : mapped_(roundUp(bytes, largePage) + largePage) {
    base_ = ::mmap(nullptr, static_cast<size_t>(mapped_), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base_ == MAP_FAILED) {
      throw Error("BT_OUT_OF_MEMORY",
                  "out of memory: " + std::to_string(bytes) + " bytes of weights could not be allocated");
    }
    const int64_t skipped = -static_cast<int64_t>(reinterpret_cast<uintptr_t>(base_) % largePage) + largePage;
    start_ = static_cast<uint8_t*>(base_) + skipped;
    size_ = roundUp(bytes, largePage);
    // Refused where the kernel has no large pages: then small ones serve.
    ::madvise(start_, static_cast<size_t>(size_), MADV_HUGEPAGE);
  }
  ~Stretch() { ::munmap(base_, static_cast<size_t>(mapped_)); }
  Stretch(const Stretch&) = delete;
  Stretch& operator=(const Stretch&) = delete;

  // Null when there is no room.
  void* take(int64_t bytes) {
    if (bytes > size_ - used_) return nullptr;
    uint8_t* at = start_ + used_;
    used_ = std::min(roundUp(used_ + bytes, alignment), size_);
    return at;
  }

 private:
  int64_t mapped_, size_ = 0, used_ = 0;
  void* base_ = nullptr;
  uint8_t* start_ = nullptr;
};

at::Tensor WeightMemory::take(const std::vector<int64_t>& shape, at::ScalarType dtype) {
  int64_t bytes = static_cast<int64_t>(c10::elementSize(dtype));
  for (const int64_t size : shape) bytes *= size;
  void* at = stretch_ ? stretch_->take(bytes) : nullptr;
  if (at == nullptr) {
    stretch_ = std::make_shared<Stretch>(std::max(bytes, usualStretch));
    at = stretch_->take(bytes);
  }
  return at::from_blob(at, shape, [stretch = stretch_](void*) {}, at::TensorOptions().dtype(dtype));
}

}  // namespace bt
