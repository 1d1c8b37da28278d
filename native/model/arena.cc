#include "model/arena.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <sys/mman.h>

#include "model/error.h"

namespace bt {

at::Tensor Arena::allocate(const std::string& name, int64_t count, at::ScalarType dtype) const {
  const auto options = at::TensorOptions().dtype(dtype).device(device_);
  if (!device_.is_cpu()) return at::empty({count}, options);
  // Pages of its own, which go back when it grows: malloc keeps what is freed, and the holes that some hundred buffers
  // leave each time they grow fit none of the larger ones.
  const size_t bytes = std::max<size_t>(1, static_cast<size_t>(count) * c10::elementSize(dtype));
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    throw Error("BT_OUT_OF_MEMORY",
                "out of memory: " + std::to_string(bytes) + " bytes of " + name + " could not be allocated");
  }
  return at::from_blob(memory, {count}, [bytes](void* at) { ::munmap(at, bytes); }, options);
}

}  // namespace bt
