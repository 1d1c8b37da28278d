// The two symbols that the library exports.
#include <cuda_runtime_api.h>

#include "cuda/graph.h"
#include "cuda/kernels.h"

namespace bt::cuda {

namespace {

const char* errorText(int error) {
  return error == kBtCudaFailed ? lastFailure() : cudaGetErrorString(static_cast<cudaError_t>(error));
}

constexpr BtCudaFunctions functions = {
    .errorText = errorText,
    .currentStream = currentStream,
    .rmsNormForward = rmsNormForward,
    .rmsNormBackward = rmsNormBackward,
    .siluGateForward = siluGateForward,
    .siluGateBackward = siluGateBackward,
    .headNormForward = headNormForward,
    .headNormBackward = headNormBackward,
    .splitHeads = splitHeads,
    .joinHeads = joinHeads,
    .dropoutMask = dropoutMask,
    .crossEntropy = crossEntropy,
    .graphPool = graphPool,
    .graphCreate = graphCreate,
    .graphBegin = graphBegin,
    .graphEnd = graphEnd,
    .graphReplay = graphReplay,
    .graphDestroy = graphDestroy,
};

}  // namespace

}  // namespace bt::cuda

int bt_cuda_abi() { return kBtCudaAbi; }
const BtCudaFunctions* bt_cuda_functions() { return &bt::cuda::functions; }
