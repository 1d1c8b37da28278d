#include "sample/free_memory.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

#include "model/error.h"

namespace bt {

namespace {

// None for a file that is absent or holds no number ("max").
std::optional<int64_t> numberIn(const std::string& path) {
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value ? std::optional<int64_t>(value) : std::nullopt;
}

int64_t available() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {  // "MemAvailable:   12345678 kB"
    if (line.rfind("MemAvailable:", 0) == 0) return std::atoll(line.c_str() + line.find(':') + 1) * 1024;
  }
  throw Error("BT_IO", "/proc/meminfo: says nothing of MemAvailable");
}

}  // namespace

int64_t freeMemory() {
  int64_t free = available();
  // As a container sees its own group, of either version.
  for (const auto& [limit, used] :
       {std::pair{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
        std::pair{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"}}) {
    const std::optional<int64_t> most = numberIn(limit), now = numberIn(used);
    if (most && now) free = std::min(free, std::max<int64_t>(0, *most - *now));
  }
  return free;
}

}  // namespace bt
