// From ATen's tensors to what the functions of libbt_cuda take.
#pragma once
#include <ATen/core/Tensor.h>

#include "model/cuda_library.h"
#include "model/error.h"

namespace bt {

inline BtCudaType cudaType(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat: return kBtCudaF32;
    case at::kHalf: return kBtCudaF16;
    case at::kBFloat16: return kBtCudaBf16;
    default: throw Error("BT_ARGUMENT", "kernels for GPUs compute in FP32, BF16 or FP16");
  }
}

// The stream that ATen's operators queue on.
inline void* cudaStream(const BtCudaFunctions& cuda, at::Device device) {
  void* stream = nullptr;
  checkCuda(cuda, cuda.currentStream(device.index(), &stream));
  return stream;
}

}  // namespace bt
