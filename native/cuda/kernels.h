// The functions of the table that compute; each is defined in the .cu file of what it is about. See bt_cuda.h.
#pragma once
#include "cuda/bt_cuda.h"

namespace bt::cuda {

int rmsNormForward(int type, void* y, float* inverseRms, const void* x, const void* weight, int64_t rows, int64_t width,
                   float eps, void* stream);
int rmsNormBackward(int type, void* dx, const void* dy, const void* x, const float* inverseRms, const void* weight,
                    int64_t rows, int64_t width, void* stream);
int siluGateForward(int type, void* out, const void* gateUp, int64_t rows, int64_t inner, void* stream);
int siluGateBackward(int type, void* gateUp, const void* dOut, int64_t rows, int64_t inner, void* stream);
int headNormForward(int type, const BtCudaHeads* shape, void* out, float* inverse, const void* qkv, const void* qWeight,
                    const void* kWeight, float eps, void* stream);
int headNormBackward(int type, const BtCudaHeads* shape, void* dqkv, const void* qkv, const float* inverse,
                     const void* qWeight, const void* kWeight, void* stream);
int splitHeads(int type, const BtCudaHeads* shape, const void* qkv, const float* cos, const float* sin,
               const int32_t* positions, void* q, void* k, void* v, void* stream);
int joinHeads(int type, const BtCudaHeads* shape, const void* dq, const void* dk, const void* dv, const float* cos,
              const float* sin, const int32_t* positions, void* dqkv, void* stream);
int dropoutMask(float* mask, int64_t tokens, int64_t width, const int32_t* rowOf, const int32_t* positionOf,
                const uint64_t* stepKey, uint64_t index, double p, void* stream);
int crossEntropy(int type, void* logits, const int64_t* targets, float* rowLoss, double* lossSum, int64_t rows,
                 int64_t vocab, float gradScale, void* stream);

}  // namespace bt::cuda
