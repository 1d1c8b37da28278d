#include "cuda/graph.h"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAMacros.h>
#include <c10/cuda/CUDAStream.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace bt::cuda {

namespace {

thread_local std::string failure;

// Runs `work`; no exception leaves it.
template <typename Work>
int guarded(Work work) {
  try {
    work();
    return 0;
  } catch (const c10::Error& error) {
    failure = error.what_without_backtrace();
  } catch (const std::exception& error) {
    failure = error.what();
  } catch (...) {
    failure = "an exception of an unknown type";
  }
  return kBtCudaFailed;
}

// What captures run on, one for each device: libtorch keeps a workspace of cuBLAS for every stream that it was used on.
c10::cuda::CUDAStream sideStream(c10::DeviceIndex device) {
  static std::mutex mutex;
  static std::optional<c10::cuda::CUDAStream> streams[C10_COMPILE_TIME_MAX_GPUS];
  const std::lock_guard lock(mutex);
  std::optional<c10::cuda::CUDAStream>& stream = streams[device];
  if (!stream) stream = c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device);
  return *stream;
}

class Graph {
 public:
  Graph(c10::DeviceIndex device, c10::MempoolId_t pool) : side_(sideStream(device)), pool_(pool) {}

  // In the midst of a capture it is one that failed: what else goes wrong then is a consequence.
  ~Graph() {
    guarded([this] {
      if (capturing_) graph_.capture_end();
    });
    guarded([this] { guard_.reset(); });
  }

  void begin() {
    TORCH_CHECK(!capturing_ && !captured_, "graphBegin: begun already");
    // What was queued so far is done with its memory: what is captured may be given it. A capture is rare enough to
    // wait for the whole device.
    c10::cuda::device_synchronize();
    guard_.emplace(side_);
    capturing_ = true;
    // Other threads may use the device meanwhile: their calls are none of this capture's business.
    graph_.capture_begin(pool_, cudaStreamCaptureModeThreadLocal);
  }

  void end() {
    TORCH_CHECK(capturing_, "graphEnd: nothing is being captured");
    capturing_ = false;
    graph_.capture_end();
    guard_.reset();
    captured_ = true;
  }

  void replay() {
    TORCH_CHECK(captured_, "graphReplay: nothing was captured");
    graph_.replay();
  }

 private:
  c10::cuda::CUDAStream side_;
  c10::MempoolId_t pool_;
  at::cuda::CUDAGraph graph_;
  std::optional<c10::cuda::CUDAStreamGuard> guard_;
  bool capturing_ = false, captured_ = false;
};

Graph& of(void* graph) { return *static_cast<Graph*>(graph); }

}  // namespace

const char* lastFailure() { return failure.c_str(); }

int currentStream(int device, void** stream) {
  return guarded([=] { *stream = c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device)).stream(); });
}

int graphPool(BtCudaPool* pool) {
  return guarded([=] {
    const c10::MempoolId_t id = at::cuda::graph_pool_handle();
    *pool = {id.first, id.second};
  });
}
int graphCreate(int device, const BtCudaPool* pool, void** graph) {
  return guarded([=] {
    const c10::MempoolId_t id{pool->first, pool->second};
    *graph = std::make_unique<Graph>(static_cast<c10::DeviceIndex>(device), id).release();
  });
}
int graphBegin(void* graph) {
  return guarded([=] { of(graph).begin(); });
}
int graphEnd(void* graph) {
  return guarded([=] { of(graph).end(); });
}
int graphReplay(void* graph) {
  return guarded([=] { of(graph).replay(); });
}
void graphDestroy(void* graph) { delete static_cast<Graph*>(graph); }

}  // namespace bt::cuda
