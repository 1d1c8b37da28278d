// How a running job learns that it should stop: one atomic flag, read between layers and sequences.
#pragma once
#include <atomic>

namespace bt {

// Sets the flag that checkAbort() reads on this thread. The worker calls it once; null means never abort.
void setAbortFlag(const std::atomic<bool>* flag);

// This thread's flag, for work that runs elsewhere on its behalf (autograd's threads).
const std::atomic<bool>* currentAbortFlag();

// Throws Error BT_ABORTED when the flag is up. Cheap: one relaxed load.
void checkAbort();
void checkAbort(const std::atomic<bool>* flag);

}  // namespace bt
