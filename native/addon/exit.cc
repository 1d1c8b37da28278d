#include "addon/exit.h"

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "addon/worker.h"

namespace bt {

void flushAndLeaveWhileWorking() {
  // glibc's, for the status. Handlers run last in, first out: this one before the destructors of all that was open.
  on_exit(
      [](int status, void*) {
        if (liveWorkers() == 0) return;
        std::fflush(nullptr);
        _exit(status);
      },
      nullptr);
}

void countJob() {
  static std::atomic<uint64_t> jobs{0};
  const uint64_t count = ++jobs;
  if ((count & (count - 1)) == 0) flushAndLeaveWhileWorking();
}

}  // namespace bt
