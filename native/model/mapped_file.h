// A file mapped read-only for as long as the object lives.
#pragma once
#include <cstdint>
#include <string>

namespace bt {

class MappedFile {
 public:
  // Throws Error BT_IO with the path and the system's reason.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const uint8_t* data() const { return data_; }
  int64_t size() const { return size_; }
  // Lets the kernel drop pages of [offset, offset + length) that have been copied out.
  void release(int64_t offset, int64_t length) const;

 private:
  const uint8_t* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace bt
