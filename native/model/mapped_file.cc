#include "model/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "model/error.h"

namespace bt {

namespace {
[[noreturn]] void fail(const std::string& path, const char* doing) {
  throw Error("BT_IO", path + ": cannot " + doing + ": " + std::strerror(errno));
}
}  // namespace

MappedFile::MappedFile(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail(path, "open");
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || status.st_size == 0) {
    if (status.st_size == 0) errno = EINVAL;
    const int reason = errno;
    ::close(descriptor);
    errno = reason;
    fail(path, "read its size");
  }
  size_ = status.st_size;
  void* address = ::mmap(nullptr, static_cast<size_t>(size_), PROT_READ, MAP_PRIVATE, descriptor, 0);
  const int reason = errno;
  ::close(descriptor);
  if (address == MAP_FAILED) {
    errno = reason;
    fail(path, "map");
  }
  data_ = static_cast<const uint8_t*>(address);
}

MappedFile::~MappedFile() { ::munmap(const_cast<uint8_t*>(data_), static_cast<size_t>(size_)); }

void MappedFile::release(int64_t offset, int64_t length) const {
  const int64_t page = ::sysconf(_SC_PAGESIZE);
  const int64_t begin = (offset + page - 1) / page * page, end = (offset + length) / page * page;
  if (end > begin) ::madvise(const_cast<uint8_t*>(data_) + begin, static_cast<size_t>(end - begin), MADV_DONTNEED);
}

}  // namespace bt
