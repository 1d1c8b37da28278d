#include "model/cuda_devices.h"

#include <dlfcn.h>

namespace bt {

namespace {

constexpr int kSuccess = 0, kCapabilityMajor = 75, kCapabilityMinor = 76;  // CUdevice_attribute

template <class Function>
Function entry(void* driver, const char* name) {
  return reinterpret_cast<Function>(dlsym(driver, name));
}

}  // namespace

std::vector<CudaDevice> readCudaDevices(int count) {
  std::vector<CudaDevice> devices;
  void* driver = count > 0 ? dlopen("libcuda.so.1", RTLD_NOW) : nullptr;
  if (driver == nullptr) return devices;
  auto init = entry<int (*)(unsigned)>(driver, "cuInit");
  auto get = entry<int (*)(int*, int)>(driver, "cuDeviceGet");
  auto getName = entry<int (*)(char*, int, int)>(driver, "cuDeviceGetName");
  auto getMemory = entry<int (*)(size_t*, int)>(driver, "cuDeviceTotalMem_v2");
  auto getAttribute = entry<int (*)(int*, int, int)>(driver, "cuDeviceGetAttribute");
  if (!init || !get || !getName || !getMemory || !getAttribute || init(0) != kSuccess) return devices;
  for (int i = 0; i < count; i++) {
    int device = 0, major = 0, minor = 0;
    char name[256] = {};
    size_t memory = 0;
    if (get(&device, i) != kSuccess || getName(name, sizeof name - 1, device) != kSuccess ||
        getMemory(&memory, device) != kSuccess || getAttribute(&major, kCapabilityMajor, device) != kSuccess ||
        getAttribute(&minor, kCapabilityMinor, device) != kSuccess) {
      continue;
    }
    devices.push_back({name, memory, std::to_string(major) + "." + std::to_string(minor)});
  }
  return devices;
}

}  // namespace bt
