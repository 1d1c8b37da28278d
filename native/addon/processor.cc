#include "addon/processor.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

namespace bt {

#ifdef __x86_64__

namespace {

bool bit(unsigned value, int index) { return (value >> index & 1) != 0; }

// XCR0: which register states the system saves, and so lets programs use.
unsigned savedStates() {
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

}  // namespace

// Bits: Intel SDM volume 2A, CPUID leaf 7; volume 1, section 13.3 for XCR0.
Processor readProcessor() {
  Processor processor;
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !bit(c, 27)) return processor;  // OSXSAVE
  const unsigned saved = savedStates();
  const bool ymm = (saved & 0x6) == 0x6, zmm = (saved & 0xe6) == 0xe6, tiles = (saved & 0x60000) == 0x60000;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return processor;
  const unsigned subleaves = a;
  processor.avx2 = ymm && bit(b, 5);
  processor.avx512 = zmm && bit(b, 16) && bit(b, 17) && bit(b, 30) && bit(b, 31);
  processor.amxBf16 = tiles && bit(d, 22) && bit(d, 24);
  if (subleaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) processor.avx512Bf16 = processor.avx512 && bit(a, 5);
  return processor;
}

#else

Processor readProcessor() { return {}; }

#endif

}  // namespace bt
