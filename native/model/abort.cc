#include "model/abort.h"

#include "model/error.h"

namespace bt {

namespace {
thread_local const std::atomic<bool>* abortFlag = nullptr;
}

void setAbortFlag(const std::atomic<bool>* flag) { abortFlag = flag; }

void checkAbort() {
  if (abortFlag != nullptr && abortFlag->load(std::memory_order_relaxed)) throw Error("BT_ABORTED", "aborted");
}

}  // namespace bt
