// The worker's queue under ThreadSanitizer: many threads post, abort and stop while it works. Needs no libtorch.
// test/native/worker.test.ts compiles and runs it. Prints "ok", or says what went wrong and returns 1.
#include "addon/worker.h"

#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/abort.h"
#include "model/error.h"

namespace {

void check(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

void runsInOrderOnOneThread() {
  std::vector<int> order;
  {
    bool ended = false;
    bt::Worker worker([&] { order.push_back(-1); }, [&] { ended = true; });
    for (int i = 0; i < 1000; i++) worker.post({[&order, i](bool aborted) { order.push_back(aborted ? -2 : i); }});
    std::atomic<bool> reached{false};
    worker.post({[&](bool) { reached = true; }});
    while (!reached) std::this_thread::yield();
    worker.stop();
    worker.join();
    check(ended, "the end was not run");
  }
  check(order.size() == 1001 && order[0] == -1, "jobs are missing");
  for (int i = 0; i < 1000; i++) check(order[static_cast<size_t>(i) + 1] == i, "jobs ran out of order");
}

void abortStopsTheRunningJobAndTheWaiting() {
  bt::Worker worker([] {}, [] {});
  std::atomic<bool> started{false};
  std::atomic<int> thrown{0}, given{0}, ran{0}, freed{0};
  worker.post({[&](bool) {
    started = true;
    try {
      while (true) bt::checkAbort();
    } catch (const bt::Error&) {
      thrown++;
    }
  }});
  for (int i = 0; i < 10; i++) worker.post({[&](bool aborted) { (aborted ? given : ran)++; }});
  worker.post({[&](bool aborted) { freed += !aborted; }, true});
  while (!started) std::this_thread::yield();
  worker.abort();
  std::atomic<bool> later{false};
  worker.post({[&](bool aborted) {
    bt::checkAbort();
    later = !aborted;
  }});
  while (!later) std::this_thread::yield();
  check(thrown == 1 && given == 10 && ran == 0 && freed == 1, "abort() reached the wrong jobs");
}

void manyThreadsAtOnce() {
  std::atomic<int> answered{0};
  constexpr int kThreads = 4, kJobs = 2000;
  bt::Worker worker([] {}, [] {});
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++) {
    threads.emplace_back([&worker, &answered, t] {
      for (int i = 0; i < kJobs; i++) {
        worker.post({[&answered](bool) { answered++; }, i % 3 == 0});
        if (t == 0 && i % 50 == 0) worker.abort();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  worker.stop();
  worker.join();
  check(answered == kThreads * kJobs, "a job was neither run nor given up");
}

// Some threads post, one aborts, one stops the worker in the midst of it: what was taken is answered once.
void stopsWhileOthersPost() {
  constexpr int kRounds = 50, kThreads = 3, kJobs = 200;
  for (int round = 0; round < kRounds; round++) {
    std::vector<std::atomic<int>> answers(kThreads * kJobs);
    std::atomic<int> running{0}, answered{0};
    std::atomic<bool> overlapped{false};
    bt::Worker worker([] {}, [] {});
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; t++) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kJobs; i++) {
          auto* answer = &answers[static_cast<size_t>(t * kJobs + i)];
          worker.post({[&, answer](bool) {
            if (running.fetch_add(1) != 0) overlapped = true;
            (*answer)++;
            answered++;
            running--;
          }});
        }
      });
    }
    threads.emplace_back([&] {
      for (int i = 0; i < 20; i++) worker.abort();
    });
    threads.emplace_back([&] {
      while (answered < round) std::this_thread::yield();
      worker.stop();
    });
    for (auto& thread : threads) thread.join();
    worker.join();
    check(!overlapped, "two jobs ran at once");
    for (int t = 0; t < kThreads; t++) {
      bool dropped = false;  // after stop() nothing more of a thread is taken
      for (int i = 0; i < kJobs; i++) {
        const int times = answers[static_cast<size_t>(t * kJobs + i)];
        check(times <= 1 && !(dropped && times == 1), "a job was answered twice, or after one that was dropped");
        dropped = dropped || times == 0;
      }
    }
  }
}

void endsWhileIdleAndCountsTheLiving() {
  for (int i = 0; i < 50; i++) {
    bt::Worker worker([] {}, [] {});
    check(bt::liveWorkers() == 1, "a living worker is not counted");
    if (i % 2 == 0) worker.stop();
  }
  check(bt::liveWorkers() == 0, "an ended worker is counted");
}

}  // namespace

int main() {
  try {
    runsInOrderOnOneThread();
    abortStopsTheRunningJobAndTheWaiting();
    manyThreadsAtOnce();
    stopsWhileOthersPost();
    endsWhileIdleAndCountsTheLiving();
    std::puts("ok");
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "worker: %s\n", error.what());
    return 1;
  }
}
