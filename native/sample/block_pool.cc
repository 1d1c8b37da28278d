#include "sample/block_pool.h"

#include <sys/mman.h>

#include <cstring>
#include <string>

#include "model/error.h"

namespace bt {

BlockPool::BlockPool(int64_t blocks, int64_t blockBytes) : blockBytes_(blockBytes) {
  // Without reserve: what is touched in the end is bounded by who asked for so many.
  mapped_ = blocks * blockBytes;
  void* memory = ::mmap(nullptr, static_cast<size_t>(mapped_), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    throw Error("BT_OUT_OF_MEMORY",
                "out of memory: " + std::to_string(mapped_) + " bytes of keys and values could not be allocated");
  }
  memory_ = static_cast<uint8_t*>(memory);
  references_.resize(static_cast<size_t>(blocks));
  for (int64_t block = blocks; block-- > 0;) free_.push_back(static_cast<int32_t>(block));
}

BlockPool::~BlockPool() { ::munmap(memory_, static_cast<size_t>(mapped_)); }

int32_t BlockPool::take() {
  const int32_t block = free_.back();
  free_.pop_back();
  references_[block] = 1;
  return block;
}

void BlockPool::release(int32_t block) {
  if (--references_[block] == 0) free_.push_back(block);
}

void BlockPool::copy(int32_t from, int32_t to) {
  std::memcpy(memory_ + to * blockBytes_, memory_ + from * blockBytes_, static_cast<size_t>(blockBytes_));
}

}  // namespace bt
