// The end of a process whose worker still computes: process.exit() and an uncaught exception.
#pragma once

namespace bt {

// exit() would run libtorch's static destructors under the worker, which then crashes. Node runs no cleanup hook there,
// so from now on exit() flushes and ends the process at once while any worker lives.
void flushAndLeaveWhileWorking();

}  // namespace bt
