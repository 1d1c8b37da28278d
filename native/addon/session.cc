#include "addon/session.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <mutex>

#include "addon/exit.h"
#include "model/error.h"

namespace bt {

namespace {

// Processors that the CPU affinity and the control group's quota leave to this process.
int usableProcessors() {
  cpu_set_t set;
  int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 4096;
  std::ifstream quotaFile("/sys/fs/cgroup/cpu.max");  // "200000 100000", or "max 100000"
  double quota = 0, period = 0;
  if (quotaFile >> quota >> period && period > 0) count = std::min(count, static_cast<int>(std::ceil(quota / period)));
  return std::max(count, 1);
}

// Libtorch's own default (physical cores, OMP_NUM_THREADS), within what this process may use.
int defaultThreads() {
  static std::mutex mutex;
  static int threads = 0;  // asked once: a runtime with its own number changes libtorch's answer
  std::lock_guard lock(mutex);
  if (threads == 0) {
    threads = std::max(std::min(at::get_num_threads(), usableProcessors()), 1);
  }
  return threads;
}

// OpenMP's team, grad mode and the current CUDA device belong to a thread.
void prepareThread(c10::Device device, int threads) {
  const int standard = defaultThreads();
  at::get_num_threads();  // its first call on a thread would undo the next line later
  // More threads than processors only wait for each other, and libgomp ends the process when it cannot start one.
  at::set_num_threads(threads > 0 ? std::min(threads, usableProcessors()) : standard);
  c10::GradMode::set_enabled(false);
  if (!device.is_cuda()) return;
  at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
  c10::impl::getDeviceGuardImpl(c10::DeviceType::CUDA)->setDevice(device);
}

}  // namespace

std::shared_ptr<Session> Session::open(Napi::Env env, c10::Device device, int threads) {
  std::shared_ptr<Session> session(new Session(device));
  Session* self = session.get();
  session->settler_ = std::make_unique<Settler>(env, [self] { self->endWhenUnused(); });
  auto begin = [self, threads] {
    try {
      prepareThread(self->device_, threads);
    } catch (...) {
      self->broken_ = currentFailure();
    }
  };
  auto end = [self] {
    for (const auto& slot : self->slots_) slot->clear();
    self->slots_.clear();
    auto settlement = std::make_unique<Settlement>();
    settlement->then = [self](Napi::Env env) { self->ended(env); };
    self->settler_->settle(std::move(settlement));
  };
  try {
    session->worker_ = std::make_unique<Worker>(begin, end);
  } catch (...) {
    session->settler_.release()->release();  // Node frees the thread-safe function later, which needs the settler
    throw;
  }
  // Node holds the session until the thread-safe function is gone. The hook is added after that function, so it runs
  // before Node takes it down: the worker has ended by then.
  session->settler_->hold(session);
  napi_add_env_cleanup_hook(env, onCleanup, self);
  return session;
}

Session::Session(c10::Device device) : device_(device) {}
Session::~Session() = default;

void Session::fill(Settlement& settlement, bool aborted, const std::function<void()>& work) {
  if (broken_) {
    settlement.failure = broken_;
    return;
  }
  try {
    if (aborted) throw Error("BT_ABORTED", "aborted before it began");
    work();
  } catch (...) {
    settlement.failure = currentFailure();
  }
  countJob();
}

Napi::Value Session::close(Napi::Env env) {
  auto deferred = Napi::Promise::Deferred::New(env);
  if (closed_) {
    deferred.Resolve(env.Undefined());
  } else {
    closers_.push_back(deferred);
    settler_->ref(env);
    end();
  }
  return deferred.Promise();
}

void Session::end() {
  if (closing_) return;
  closing_ = true;
  worker_->stop();
}

void Session::ended(Napi::Env env) {
  worker_->join();  // it has nothing left to do but return
  closed_ = true;
  napi_remove_env_cleanup_hook(env, onCleanup, this);
  for (const auto& deferred : closers_) deferred.Resolve(env.Undefined());
  for (size_t i = 0; i < closers_.size(); i++) settler_->unref(env);
  closers_.clear();
  settler_->release();
}

void Session::onCleanup(void* data) {
  auto* self = static_cast<Session*>(data);
  self->closing_ = self->closed_ = true;
  self->worker_->stop();
  self->worker_->join();
}

void Session::handleGone() {
  handles_--;
  endWhenUnused();
}

void Session::endWhenUnused() {
  if (handles_ == 0 && settler_->pending() == 0) end();
}

void Session::free(std::shared_ptr<SlotBase> slot) {
  worker_->post({[this, slot = std::move(slot)](bool) {
                   slots_.erase(slot);
                   slot->clear();
                 },
                 true});
}

int64_t Session::weightBytes() {
  int64_t bytes = 0;
  std::erase_if(models_, [](const auto& model) { return model.expired(); });
  for (const auto& weak : models_) {
    if (auto model = weak.lock()) bytes += model->weightBytes();
  }
  return bytes;
}

}  // namespace bt
