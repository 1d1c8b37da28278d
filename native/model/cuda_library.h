// The kernels for GPUs in a library of their own, libbt_cuda-MINOR.so, which is opened where there is a GPU. Where it
// is missing or does not fit, ATen's operators do its work.
#pragma once
#include <string>

#include "cuda/bt_cuda.h"

namespace bt {

struct CudaLibrary {
  const BtCudaFunctions* functions = nullptr;  // null: not there, or `problem`
  std::string path;                            // empty: not there
  std::string problem;                         // why it is there and not used
};

// Opens the library at `path`; libtorch_cuda must be open by then. Never throws.
CudaLibrary openCudaLibrary(const std::string& path);

// The one beside this code, opened by the first call and kept. Only for processes in which libtorch sees a GPU.
const CudaLibrary& cudaLibrary();

// Throws BT_NATIVE with the library's words when `error`, of one of its functions, is not 0.
void checkCuda(const BtCudaFunctions& functions, int error);

}  // namespace bt
