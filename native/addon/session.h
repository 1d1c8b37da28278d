// What a Runtime and everything opened from it stand on: the worker, the way back, and what they hold.
// It ends by close(), when the last JavaScript object of it is collected, or with its environment.
#pragma once
#include <c10/core/Device.h>
#include <napi.h>

#include <functional>
#include <memory>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "addon/promise.h"
#include "addon/worker.h"
#include "model/model.h"

namespace bt {

// Holds a native object for a JavaScript one. The object is made, used and freed on the worker alone; the slot itself
// may die anywhere.
struct SlotBase {
  virtual ~SlotBase() = default;
  virtual void clear() = 0;
};
template <class T>
struct Slot : SlotBase {
  std::shared_ptr<T> object;
  void clear() override { object.reset(); }
};

class Session {
 public:
  // JavaScript's thread, as all below that does not say otherwise. threads: 0 takes the default.
  static std::shared_ptr<Session> open(Napi::Env env, c10::Device device, int threads);
  ~Session();

  c10::Device device() const { return device_; }
  bool closing() const { return closing_; }

  // Runs work() on the worker and resolves with convert(env, its result). What work() holds is freed on the worker.
  // always: runs even when aborted.
  template <class Work, class Convert>
  Napi::Value call(Napi::Env env, Work work, Convert convert, bool always = false) {
    using Result = decltype(work());
    auto [promise, opened] = settler_->open(env);
    Settlement* settlement = opened.release();  // owned by the job until it is settled
    auto run = [this, settlement, work = std::move(work), convert = std::move(convert)](bool aborted) mutable {
      fill(*settlement, aborted, [&] {
        auto result = std::make_shared<Result>(work());
        settlement->result = [result, convert](Napi::Env env) -> napi_value { return convert(env, *result); };
      });
      settler_->settle(std::unique_ptr<Settlement>(settlement));
    };
    worker_->post({std::move(run), always});
    return promise;
  }

  void abort() { worker_->abort(); }
  // Resolves when the worker has ended and all is freed. Idempotent.
  Napi::Value close(Napi::Env env);

  // A JavaScript object of this session has come or gone.
  void handleMade() { handles_++; }
  void handleGone();
  // Frees what the slot holds, on the worker, after the jobs posted so far.
  void free(std::shared_ptr<SlotBase> slot);

  // Worker thread: a slot around `object`, cleared at the latest when the session ends.
  template <class T>
  std::shared_ptr<Slot<T>> keep(std::shared_ptr<T> object) {
    auto slot = std::make_shared<Slot<T>>();
    slot->object = std::move(object);
    slots_.insert(slot);
    return slot;
  }
  // Worker thread: counts this model's weights in weightBytes().
  void track(const std::shared_ptr<Model>& model) { models_.push_back(model); }
  int64_t weightBytes();

 private:
  explicit Session(c10::Device device);
  void fill(Settlement& settlement, bool aborted, const std::function<void()>& work);
  static void onCleanup(void* session);
  void end();                 // asks the worker to stop; ended() follows
  void ended(Napi::Env env);  // the worker has said that it is done
  void endWhenUnused();

  c10::Device device_;
  std::unique_ptr<Settler> settler_;
  std::unique_ptr<Worker> worker_;
  int handles_ = 0;
  bool closing_ = false, closed_ = false;
  std::vector<Napi::Promise::Deferred> closers_;  // callers of close() who wait

  // Worker thread alone.
  std::optional<Failure> broken_;  // the thread could not be prepared: every call fails with this
  std::unordered_set<std::shared_ptr<SlotBase>> slots_;
  std::vector<std::weak_ptr<Model>> models_;
};

}  // namespace bt
