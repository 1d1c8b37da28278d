// Blocks of memory for keys and values, counted by who refers to them. Their memory comes with the first touch, and a
// freed block is the next one taken: what was never needed at one time costs nothing.
#pragma once
#include <cstdint>
#include <vector>

namespace bt {

class BlockPool {
 public:
  // Throws BT_OUT_OF_MEMORY where the system does not even give the addresses.
  BlockPool(int64_t blocks, int64_t blockBytes);
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  int64_t blocks() const { return static_cast<int64_t>(references_.size()); }
  int64_t free() const { return static_cast<int64_t>(free_.size()); }
  uint8_t* memory() const { return memory_; }

  // A free block, with one reference; there must be one.
  int32_t take();
  void share(int32_t block) { ++references_[block]; }
  void release(int32_t block);
  void copy(int32_t from, int32_t to);

 private:
  int64_t blockBytes_, mapped_;
  uint8_t* memory_;
  std::vector<int32_t> references_;
  std::vector<int32_t> free_;  // the last one is taken first
};

}  // namespace bt
