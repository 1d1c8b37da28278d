#include "model/weight_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "model/error.h"

namespace bt {

namespace {
[[noreturn]] void fail(const std::string& path, const char* doing) {
  throw Error("BT_IO", path + ": cannot " + doing + ": " + std::strerror(errno));
}
}  // namespace

WeightFile::WeightFile(const std::string& path) : path_(path) {
  // Without O_NONBLOCK the open of a pipe would wait for a writer.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) fail(path, "open");
  struct stat status {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  if (known && S_ISREG(status.st_mode)) {
    size_ = status.st_size;
    ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_SEQUENTIAL);
    return;
  }
  const int reason = errno;
  ::close(descriptor_);
  if (known) throw Error("BT_IO", path + ": is not a regular file");
  errno = reason;
  fail(path, "read its size");
}

WeightFile::~WeightFile() { ::close(descriptor_); }

void WeightFile::read(int64_t offset, int64_t length, void* to) const {
  auto* at = static_cast<uint8_t*>(to);
  while (length > 0) {
    const ssize_t got = ::pread(descriptor_, at, static_cast<size_t>(std::min<int64_t>(length, 1 << 30)), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path_, "read");
    if (got == 0) throw Error("BT_IO", path_ + ": became shorter while it was read");
    at += got;
    offset += got;
    length -= got;
  }
}

}  // namespace bt
