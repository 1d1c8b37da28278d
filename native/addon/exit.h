// The end of a process whose worker still computes: process.exit() and an uncaught exception.
#pragma once

namespace bt {

// exit() would run libtorch's static destructors under the worker, which then crashes. Node runs no cleanup hook there,
// so from now on exit() flushes and ends the process at once while any worker lives.
void flushAndLeaveWhileWorking();

// Called after each job. Handlers of exit() run last in, first out, and libtorch makes statics as it works, whose
// destructors would come before our handler: so it is registered anew after 1, 2, 4, 8 .. jobs.
void countJob();

}  // namespace bt
