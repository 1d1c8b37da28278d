// Splits rows among the OpenMP threads.
#pragma once
#include <omp.h>

#include <algorithm>
#include <cstdint>

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

}  // namespace bt
