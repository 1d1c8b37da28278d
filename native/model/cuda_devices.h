// What NVIDIA's driver says of the devices. Asked through the driver's own C interface, which every driver has, so that
// nothing of CUDA is needed to compile or to open the core.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace bt {

struct CudaDevice {
  std::string name;
  uint64_t totalMemory = 0;  // bytes
  std::string capability;    // "9.0"
};

// The first `count` devices; those that the driver does not answer for are left out.
std::vector<CudaDevice> readCudaDevices(int count);

}  // namespace bt
