// One thread that does a runtime's work in the order it was asked for. Knows nothing of JavaScript or of libtorch.
#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace bt {

struct Job {
  // Worker thread. aborted: the job was given up before it began; it must tell its caller so, and do nothing else.
  std::function<void(bool aborted)> run;
  // Runs even when all is aborted: frees memory.
  bool always = false;
};

// Workers whose thread is not yet joined, in the whole process.
int liveWorkers();

class Worker {
 public:
  // begin and end run on the thread, first and last; end after the last job.
  Worker(std::function<void()> begin, std::function<void()> end);
  ~Worker();  // stops and joins
  Worker(const Worker&) = delete;

  // Any thread. After stop() the job is dropped unseen, so the caller must look first.
  void post(Job job);
  // Any thread. Jobs posted before this call and not yet begun are given up; the running one sees checkAbort() throw.
  void abort();
  // Any thread. Aborts, and ends the thread after the jobs that are there. Does not wait.
  void stop();
  // Waits for the end. Idempotent; one thread only.
  void join();

 private:
  struct Entry {
    Job job;
    uint64_t generation;
  };
  void loop(const std::function<void()>& begin, const std::function<void()>& end);

  std::mutex mutex_;  // guards the next four
  std::deque<Entry> queue_;
  uint64_t generation_ = 0;  // counts abort() calls: a job of an older one is given up
  bool running_ = false, stopping_ = false;
  std::atomic<bool> abortFlag_{false};  // what checkAbort() reads
  // Counts changes of the queue: the thread sleeps on it. std::condition_variable::wait would need GLIBCXX_3.4.30.
  std::atomic<uint32_t> changes_{0};
  std::thread thread_;
};

}  // namespace bt
