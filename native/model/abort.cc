#include "model/abort.h"

#include "model/error.h"

namespace bt {

namespace {
thread_local const std::atomic<bool>* abortFlag = nullptr;
}

void setAbortFlag(const std::atomic<bool>* flag) { abortFlag = flag; }

const std::atomic<bool>* currentAbortFlag() { return abortFlag; }

void checkAbort() { checkAbort(abortFlag); }

void checkAbort(const std::atomic<bool>* flag) {
  if (flag != nullptr && flag->load(std::memory_order_relaxed)) throw Error("BT_ABORTED", "aborted");
}

}  // namespace bt
