// What a runtime can tell of its machine while it works: memory in use, and the speed of a matrix product.
#pragma once
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>

namespace bt {

// Bytes.
struct MemoryInfo {
  int64_t resident = 0, peakResident = 0;       // VmRSS and VmHWM of the process
  int64_t weights = 0;                          // of loaded models
  int64_t deviceAllocated = 0, devicePeak = 0;  // CUDA's caching allocator; 0 on CPU
};

// Worker thread.
MemoryInfo readMemory(c10::Device device, int64_t weights);

// TFLOP/s of y = x W^T in `dtype`, timed for about 50 ms after one product to warm up. Worker thread; abortable.
double teraflops(c10::Device device, c10::ScalarType dtype);

// GB/s at which all threads read 512 MB: the best of six rounds. Worker thread; abortable.
double readBandwidth();

}  // namespace bt
