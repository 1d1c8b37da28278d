#include "cuda/graph.h"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <memory>
#include <optional>
#include <string>

#include "cuda/bt_cuda.h"

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

class Graph {
 public:
  explicit Graph(c10::DeviceIndex device)
      : device_(device), side_(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device)) {}

  // Nobody catches here: what fails is left to the driver's own report at the next call.
  ~Graph() {
    guarded([this] {
      if (capturing_) graph_.capture_end();
    });
    guarded([this] { leave(); });
  }

  // The side stream may read and write what others have queued only when that is done; a capture is rare enough to
  // wait for the whole device.
  void enter() {
    TORCH_CHECK(!guard_, "graphEnter: entered already");
    c10::cuda::device_synchronize();
    guard_.emplace(side_);
  }

  void begin() {
    TORCH_CHECK(guard_ && !capturing_, "graphBegin: not between graphEnter and graphEnd");
    // The warm-up is done with its memory, too.
    c10::cuda::device_synchronize();
    // Other threads may use the device meanwhile: their calls are none of this capture's business.
    graph_.capture_begin(/*pool=*/{0, 0}, cudaStreamCaptureModeThreadLocal);
    capturing_ = true;
  }

  void end() {
    TORCH_CHECK(capturing_, "graphEnd: nothing is being captured");
    capturing_ = false;
    graph_.capture_end();
    leave();
    captured_ = true;
  }

  void replay() {
    TORCH_CHECK(captured_, "graphReplay: nothing was captured");
    graph_.replay();
  }

 private:
  void leave() {
    if (!guard_) return;
    guard_.reset();
    c10::cuda::device_synchronize();
  }

  c10::DeviceIndex device_;
  c10::cuda::CUDAStream side_;
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

int graphCreate(int device, void** graph) {
  return guarded([=] { *graph = std::make_unique<Graph>(static_cast<c10::DeviceIndex>(device)).release(); });
}
int graphEnter(void* graph) {
  return guarded([=] { of(graph).enter(); });
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
