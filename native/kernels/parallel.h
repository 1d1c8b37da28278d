// Splits rows and tasks among the OpenMP threads.
#pragma once
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <mutex>

namespace bt {

// Calls work(begin, end) on each thread with its share of [0, rows). Loops of one row, or inside a parallel region, run
// here.
template <typename Work>
void parallelRows(int64_t rows, Work work) {
  if (rows <= 1 || omp_in_parallel()) {
    work(int64_t{0}, rows);
    return;
  }
#pragma omp parallel
  {
    const int64_t threads = omp_get_num_threads(), thread = omp_get_thread_num();
    const int64_t begin = rows * thread / threads, end = rows * (thread + 1) / threads;
    if (end > begin) work(begin, end);
  }
}

// Calls work(i) for each i in [0, tasks), whichever thread is free taking the next, in a parallel region even for one
// task: MKL's products inside it then keep to one thread and one order of sums. What one throws is thrown again
// here: an exception that left a parallel region would end the process.
template <typename Work>
void parallelTasks(int64_t tasks, Work work) {
  std::exception_ptr failure;
  std::mutex mutex;
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t i = 0; i < tasks; ++i) {
    try {
      work(i);
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace bt
