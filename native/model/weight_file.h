// A file of weights, open for reading. Read rather than mapped: every weight is copied into its place anyway, and a
// file that shrinks under a map ends the process, where a read fails.
#pragma once
#include <cstdint>
#include <string>

namespace bt {

class WeightFile {
 public:
  // Throws Error BT_IO with the path and the system's reason; anything but a regular file is refused.
  explicit WeightFile(const std::string& path);
  ~WeightFile();
  WeightFile(const WeightFile&) = delete;
  WeightFile& operator=(const WeightFile&) = delete;

  const std::string& path() const { return path_; }
  int64_t size() const { return size_; }
  // Throws Error BT_IO when the bytes cannot be had, also because the file has become shorter.
  void read(int64_t offset, int64_t length, void* to) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  int64_t size_ = 0;
};

}  // namespace bt
