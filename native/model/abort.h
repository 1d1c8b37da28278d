// How a running job learns that it should stop: one atomic flag, read between layers and sequences.
#pragma once
#include <atomic>

namespace bt {

// Sets the flag that checkAbort() reads on this thread. The worker calls it once; null means never abort.
void setAbortFlag(const std::atomic<bool>* flag);

// Throws Error BT_ABORTED when the flag is up. Cheap: one relaxed load.
void checkAbort();

}  // namespace bt
