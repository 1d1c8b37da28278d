// Included before every source: asks for the symbol versions that glibc 2.28 has, where newer ones add nothing that
// is needed here. So what is compiled on a new system runs wherever libtorch itself does. glibc.cc has the rest.
#pragma once

#ifdef __x86_64__
__asm__(".symver dlopen, dlopen@GLIBC_2.2.5");  // 2.34 moved these into libc
__asm__(".symver dlsym, dlsym@GLIBC_2.2.5");
__asm__(".symver dlerror, dlerror@GLIBC_2.2.5");
__asm__(".symver dlinfo, dlinfo@GLIBC_2.3.3");
__asm__(".symver dladdr, dladdr@GLIBC_2.2.5");
__asm__(".symver exp, exp@GLIBC_2.2.5");  // 2.29 dropped the error handling of System V
__asm__(".symver log, log@GLIBC_2.2.5");
__asm__(".symver pow, pow@GLIBC_2.2.5");
#endif
