// A stretch of work on a GPU, captured once and replayed. See bt_cuda.h.
#pragma once
#include <memory>

#include "model/cuda_library.h"

namespace bt {

class CudaGraph {
 public:
  // Captures what `work` queues, without running it. Whatever `work` throws leaves no capture behind.
  template <typename Work>
  CudaGraph(const BtCudaFunctions& cuda, int device, const BtCudaPool& pool, Work work)
      : cuda_(&cuda), graph_(nullptr, cuda.graphDestroy) {
    void* graph = nullptr;
    checkCuda(cuda, cuda.graphCreate(device, &pool, &graph));
    graph_.reset(graph);
    checkCuda(cuda, cuda.graphBegin(graph));
    work();
    checkCuda(cuda, cuda.graphEnd(graph));
  }

  void replay() { checkCuda(*cuda_, cuda_->graphReplay(graph_.get())); }

 private:
  const BtCudaFunctions* cuda_;
  std::unique_ptr<void, void (*)(void*)> graph_;
};

}  // namespace bt
