#include "addon/measure.h"

#include <ATen/DeviceAccelerator.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <string>

#include "kernels/parallel.h"
#include "model/abort.h"
#include "model/error.h"

namespace bt {

MemoryInfo readMemory(c10::Device device, int64_t weights) {
  MemoryInfo memory;
  memory.weights = weights;
  std::ifstream status("/proc/self/status");
  if (!status) throw Error("BT_IO", "/proc/self/status: could not be read");
  for (std::string line; std::getline(status, line);) {  // "VmRSS:     123456 kB"
    const int64_t kilobytes = line.rfind("Vm", 0) == 0 ? std::atoll(line.c_str() + line.find(':') + 1) : 0;
    if (line.rfind("VmRSS:", 0) == 0) memory.resident = kilobytes * 1024;
    if (line.rfind("VmHWM:", 0) == 0) memory.peakResident = kilobytes * 1024;
  }
  if (device.is_cuda()) {
    const auto stats = at::accelerator::getDeviceStats(device.index());
    memory.deviceAllocated = stats.allocated_bytes[0].current;
    memory.devicePeak = stats.allocated_bytes[0].peak;
  }
  return memory;
}

double teraflops(c10::Device device, c10::ScalarType dtype) {
  using Clock = std::chrono::steady_clock;
  // About a decoder layer's product; on a GPU large enough to fill it.
  const int64_t rows = device.is_cuda() ? 8192 : 512, width = device.is_cuda() ? 4096 : 1024;
  const auto options = at::TensorOptions().device(device).dtype(dtype);
  const at::Tensor x = at::ones({rows, width}, options), weight = at::ones({width, width}, options);
  auto finish = [&] {
    if (device.is_cuda()) at::accelerator::synchronizeDevice(device.index());
    checkAbort();
  };
  at::linear(x, weight);
  finish();
  const auto start = Clock::now();
  std::chrono::duration<double> elapsed{};
  int64_t products = 0;
  do {
    at::linear(x, weight);
    finish();
    products++;
    elapsed = Clock::now() - start;
  } while (elapsed.count() < 0.05);
  return 2.0 * static_cast<double>(rows * width * width * products) / elapsed.count() / 1e12;
}

double readBandwidth() {
  using Clock = std::chrono::steady_clock;
  // Several times what the caches hold.
  constexpr int64_t words = int64_t{64} << 20;
  const at::Tensor memory = at::ones({words}, at::kDouble);
  const double* values = memory.const_data_ptr<double>();
  double best = 0;
  for (int round = 0; round < 6; ++round) {
    checkAbort();
    std::atomic<double> total{0};
    const auto start = Clock::now();
    parallelRows(words, [&](int64_t begin, int64_t end) {
      double sums[8] = {};
      for (int64_t i = begin; i + 8 <= end; i += 8) {
        for (int64_t lane = 0; lane < 8; ++lane) sums[lane] += values[i + lane];
      }
      double sum = 0;
      for (const double lane : sums) sum += lane;
      total.fetch_add(sum);
    });
    const std::chrono::duration<double> elapsed = Clock::now() - start;
    if (total < 0) throw Error("BT_NATIVE", "sums of ones are below zero");
    best = std::max(best, static_cast<double>(words) * sizeof(double) / elapsed.count() / 1e9);
  }
  return best;
}

}  // namespace bt
