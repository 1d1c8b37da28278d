// How much memory this process may still take.
#pragma once
#include <cstdint>

namespace bt {

// Bytes: what the system has available, or what is left to the process's control group where that is less. Throws BT_IO
// when /proc/meminfo cannot be read.
int64_t freeMemory();

}  // namespace bt
