// Runs kernels on a CPU, for emulated_test.cc: each thread of a block is a thread of the system, blocks follow one
// another. A warp that diverges where its lanes must meet hangs, and a missing barrier is a race that ThreadSanitizer
// sees. Nothing here is part of the library.
#pragma once
#include <array>
#include <barrier>
#include <cstring>
#include <deque>
#include <thread>
#include <vector>

#define __global__
#define __device__
#define __launch_bounds__(threads)
#define __shared__ static

using cudaStream_t = void*;
constexpr int cudaSuccess = 0, cudaErrorInvalidValue = 1;

namespace bt::cuda {

struct Index {
  unsigned x;
};

// What the lanes of a warp hand to one another.
struct Warp {
  std::barrier<> meet{32};
  std::array<uint64_t, 32> values{};
};

inline thread_local Index threadIdx, blockIdx;
inline Index blockDim, gridDim;
inline std::barrier<>* blockMeets = nullptr;
inline std::deque<Warp>* warps = nullptr;

inline void __syncthreads() { blockMeets->arrive_and_wait(); }

template <typename Value>
Value __shfl_xor_sync(unsigned, Value mine, int distance) {
  static_assert(sizeof mine <= sizeof(uint64_t));
  Warp& warp = (*warps)[threadIdx.x / 32];
  const unsigned lane = threadIdx.x % 32;
  std::memcpy(&warp.values[lane], &mine, sizeof mine);
  warp.meet.arrive_and_wait();
  std::memcpy(&mine, &warp.values[lane ^ static_cast<unsigned>(distance)], sizeof mine);
  warp.meet.arrive_and_wait();
  return mine;
}

template <typename Kernel, typename... Arguments>
int launch(Kernel kernel, unsigned blocks, unsigned threads, void*, Arguments... arguments) {
  std::barrier<> meet(threads);
  std::deque<Warp> all(threads / 32);
  blockMeets = &meet;
  warps = &all;
  blockDim = {threads};
  gridDim = {blocks};
  std::vector<std::jthread> running;
  for (unsigned thread = 0; thread < threads; ++thread) {
    running.emplace_back([=, &meet] {
      threadIdx = {thread};
      for (unsigned block = 0; block < blocks; ++block) {
        blockIdx = {block};
        kernel(arguments...);
        meet.arrive_and_wait();  // the next block has the same shared memory
      }
    });
  }
  return cudaSuccess;
}

}  // namespace bt::cuda
