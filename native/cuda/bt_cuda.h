// What libbt_cuda-MINOR.so offers: the fused loops of native/kernels for tensors on a GPU, and CUDA graphs. A plain C
// ABI without any type of CUDA or ATen, so that the core needs neither's CUDA headers.
//
// Arithmetic and rounding are those of the functions of the same name in native/kernels: FP32 between a load and a
// store. Layouts differ where they say so. Pointers are device memory unless said otherwise; work is queued on
// `stream` (a cudaStream_t) of the current device, and no function waits for it. Functions return 0, or a cudaError_t,
// or kBtCudaFailed; errorText() says what it means.
#pragma once
#include <cstdint>

// Raised with every change of what stands below.
constexpr int kBtCudaAbi = 1;

// An error that is no cudaError_t: an exception of libtorch. errorText() has its words, for the thread that met it.
constexpr int kBtCudaFailed = -1;

enum BtCudaType : int { kBtCudaF32 = 0, kBtCudaF16 = 1, kBtCudaBf16 = 2 };

struct BtCudaHeads {
  int64_t tokens, heads, kvHeads, headDim;
};

struct BtCudaPool {
  uint64_t first, second;
};

struct BtCudaFunctions {
  const char* (*errorText)(int error);
  // The stream on which libtorch queues work for this thread and device.
  int (*currentStream)(int device, void** stream);

  // y = x / rms(x) * weight.   x, y: (rows, width)   weight: (width)   inverseRms: (rows) f32 or null
  int (*rmsNormForward)(int type, void* y, float* inverseRms, const void* x, const void* weight, int64_t rows,
                        int64_t width, float eps, void* stream);
  // dx += d loss / d x given dy.   dx, dy, x: (rows, width)
  int (*rmsNormBackward)(int type, void* dx, const void* dy, const void* x, const float* inverseRms, const void* weight,
                         int64_t rows, int64_t width, void* stream);

  // out = silu(gate) * up.   gateUp: (rows, 2 inner), gate left of up   out: (rows, inner)
  int (*siluGateForward)(int type, void* out, const void* gateUp, int64_t rows, int64_t inner, void* stream);
  // gateUp becomes its own gradient.   dOut: (rows, inner)
  int (*siluGateBackward)(int type, void* gateUp, const void* dOut, int64_t rows, int64_t inner, void* stream);

  // The norm of each head of q and k; v is copied.   qkv, out: (tokens, (heads + 2 kvHeads) headDim)
  // qWeight, kWeight: (headDim)   inverse: (tokens, heads + kvHeads) f32
  int (*headNormForward)(int type, const BtCudaHeads* shape, void* out, float* inverse, const void* qkv,
                         const void* qWeight, const void* kWeight, float eps, void* stream);
  // dqkv, the gradient of `out`, becomes that of qkv.
  int (*headNormBackward)(int type, const BtCudaHeads* shape, void* dqkv, const void* qkv, const float* inverse,
                          const void* qWeight, const void* kWeight, void* stream);

  // qkv: (tokens, (heads + 2 kvHeads) headDim)   q: (tokens, heads, headDim)   k, v: (tokens, kvHeads, headDim)
  // q and k rotated. cos, sin: (positions, headDim / 2) f32   positions: (tokens), of each token in its sequence; null
  // where cos and sin have a row for each token.
  // Token-major, as varlen flash attention takes them; native/kernels/heads.h is head-major.
  int (*splitHeads)(int type, const BtCudaHeads* shape, const void* qkv, const float* cos, const float* sin,
                    const int32_t* positions, void* q, void* k, void* v, void* stream);
  // The transpose of that map: gradients of q, k, v to the gradient of qkv.
  int (*joinHeads)(int type, const BtCudaHeads* shape, const void* dq, const void* dk, const void* dv, const float* cos,
                   const float* sin, const int32_t* positions, void* dqkv, void* stream);

  // mask[t][f] = 0 with probability p, else 1 / (1 - p); the bits of native/kernels/dropout.h.
  // mask: (tokens, width) f32   rowOf, positionOf: (tokens)   stepKey: one number, mixKey(seed, Purpose::dropout, step)
  // before its last two rounds   index: of the layer and target. stepKey is read when the work runs, so that a graph
  // that is replayed in another step gives that step's mask.
  int (*dropoutMask)(float* mask, int64_t tokens, int64_t width, const int32_t* rowOf, const int32_t* positionOf,
                     const uint64_t* stepKey, uint64_t index, double p, void* stream);

  // rowLoss[r] = log sum exp(logits[r]) - logits[r][target[r]], nats, and lossSum[0] += their sum, in an order that is
  // always the same. With gradScale other than 0 logits becomes gradScale * (softmax - one-hot), rounded to its type.
  // logits: (rows, vocab)   targets: (rows), each below vocab   rowLoss: (rows) f32   lossSum: one f64
  int (*crossEntropy)(int type, void* logits, const int64_t* targets, float* rowLoss, double* lossSum, int64_t rows,
                      int64_t vocab, float gradScale, void* stream);

  // A graph is captured on a stream of its own, which is the thread's current one from graphBegin to graphEnd: what is
  // queued meanwhile is noted, not run. It should have run once before, so that libraries have made what they make at
  // first use. Buffers that it reads and writes must stay where they are as long as the graph is replayed.
  // Graphs of one pool share the memory of their temporaries: what one leaves there is gone when another is replayed,
  // unless a tensor that was made while the first was captured still lived when the second was.
  int (*graphPool)(BtCudaPool* pool);
  int (*graphCreate)(int device, const BtCudaPool* pool, void** graph);
  int (*graphBegin)(void* graph);
  int (*graphEnd)(void* graph);
  // On the thread's current stream.
  int (*graphReplay)(void* graph);
  // Also in the midst of a capture that failed: the stream of before is the current one again.
  void (*graphDestroy)(void* graph);
};

// The two symbols of the library.
#define BT_CUDA_EXPORT extern "C" __attribute__((visibility("default")))
BT_CUDA_EXPORT int bt_cuda_abi();
BT_CUDA_EXPORT const BtCudaFunctions* bt_cuda_functions();
