// Capture and replay of CUDA graphs by libtorch's own class, so that its allocator and cuBLAS know of them. See
// bt_cuda.h for what each function does.
#pragma once
#include "cuda/bt_cuda.h"

namespace bt::cuda {

int currentStream(int device, void** stream);
int graphPool(BtCudaPool* pool);
int graphCreate(int device, const BtCudaPool* pool, void** graph);
int graphBegin(void* graph);
int graphEnd(void* graph);
int graphReplay(void* graph);
void graphDestroy(void* graph);

// What the last exception on this thread said.
const char* lastFailure();

}  // namespace bt::cuda
