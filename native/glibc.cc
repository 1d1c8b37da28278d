// The core's own copies of two symbols that glibc 2.28 lacks; hidden, so that nobody else sees them.
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern "C" {

// 2.32: libstdc++ asks it whether reference counts need atomics. They do.
char __libc_single_threaded = 0;

#ifdef __x86_64__
// 2.33: an inline function before. The kernel's struct is glibc's on this architecture.
int fstat(int descriptor, struct stat* status) noexcept {
  return static_cast<int>(syscall(SYS_fstat, descriptor, status));
}
#endif

}  // extern "C"
