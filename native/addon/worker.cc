#include "addon/worker.h"

#include <sys/prctl.h>

#include <utility>

#include "model/abort.h"

namespace bt {

namespace {
std::atomic<int> live{0};
}

int liveWorkers() { return live.load(); }

Worker::Worker(std::function<void()> begin, std::function<void()> end) {
  thread_ = std::thread([this, begin = std::move(begin), end = std::move(end)] { loop(begin, end); });
  live++;
}

Worker::~Worker() {
  stop();
  join();
}

void Worker::post(Job job) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    queue_.push_back({std::move(job), generation_});
    changes_++;
  }
  changes_.notify_one();
}

void Worker::abort() {
  std::lock_guard lock(mutex_);
  generation_++;
  if (running_) abortFlag_ = true;
}

void Worker::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    generation_++;
    abortFlag_ = true;
    changes_++;
  }
  changes_.notify_one();
}

void Worker::join() {
  if (!thread_.joinable()) return;
  thread_.join();
  live--;
}

void Worker::loop(const std::function<void()>& begin, const std::function<void()>& end) {
  prctl(PR_SET_NAME, "bt-worker");
  setAbortFlag(&abortFlag_);
  begin();
  while (true) {
    const uint32_t seen = changes_.load();
    std::unique_lock lock(mutex_);
    if (queue_.empty()) {
      if (stopping_) break;
      lock.unlock();
      changes_.wait(seen);
      continue;
    }
    Entry entry = std::move(queue_.front());
    queue_.pop_front();
    const bool aborted = entry.generation != generation_;
    running_ = !aborted && !entry.job.always;  // what frees memory is not interrupted
    abortFlag_ = false;
    lock.unlock();

    entry.job.run(aborted && !entry.job.always);
    entry.job.run = nullptr;  // what it holds is freed on this thread, before the next job

    lock.lock();
    running_ = false;
    abortFlag_ = stopping_;
  }
  end();
}

}  // namespace bt
