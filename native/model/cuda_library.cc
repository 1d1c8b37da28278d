#include "model/cuda_library.h"

#include <dlfcn.h>
#include <unistd.h>

#include "model/error.h"

namespace bt {

namespace {

// Beside the file that holds this function; empty where the system does not tell.
std::string pathBeside() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&openCudaLibrary), &info) == 0 || info.dli_fname == nullptr) return {};
  const std::string self = info.dli_fname;
  const size_t slash = self.rfind('/');
  return slash == std::string::npos ? std::string() : self.substr(0, slash + 1) + BT_CUDA_LIBRARY;
}

}  // namespace

CudaLibrary openCudaLibrary(const std::string& path) {
  CudaLibrary library;
  if (path.empty() || access(path.c_str(), F_OK) != 0) return library;
  library.path = path;
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = dlerror();
    library.problem = reason != nullptr ? reason : "dlopen failed";
    return library;
  }
  const auto abi = reinterpret_cast<decltype(&bt_cuda_abi)>(dlsym(handle, "bt_cuda_abi"));
  const auto functions = reinterpret_cast<decltype(&bt_cuda_functions)>(dlsym(handle, "bt_cuda_functions"));
  if (abi == nullptr || functions == nullptr) {
    library.problem = "it lacks bt_cuda_abi or bt_cuda_functions";
  } else if (abi() != kBtCudaAbi) {
    library.problem =
        "it has version " + std::to_string(abi()) + " of the interface; the core has " + std::to_string(kBtCudaAbi);
  } else {
    library.functions = functions();
  }
  return library;
}

const CudaLibrary& cudaLibrary() {
  // Never destroyed: the worker may use it until the process is gone.
  static const auto* const library = new CudaLibrary(openCudaLibrary(pathBeside()));
  return *library;
}

void checkCuda(const BtCudaFunctions& functions, int error) {
  if (error != 0) throw Error("BT_NATIVE", std::string("CUDA: ") + functions.errorText(error));
}

}  // namespace bt
