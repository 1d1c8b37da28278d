// The way back from the worker to JavaScript: promises made and settled on JavaScript's thread, filled on the worker.
// While any is open the event loop is kept alive; while none is, it is not.
#pragma once
#include <napi.h>

#include <functional>
#include <memory>
#include <optional>

#include "addon/errors.h"

namespace bt {

// One promise under way. Made on JavaScript's thread, filled on the worker, settled on JavaScript's thread.
struct Settlement {
  napi_deferred deferred = nullptr;             // null: nobody waits, `then` alone is wanted
  std::function<napi_value(Napi::Env)> result;  // makes the value; may throw
  std::optional<Failure> failure;               // set: reject with it
  std::function<void(Napi::Env)> then;          // runs after settling
};

// The raw thread-safe function: node-addon-api's typed wrapper does not compile under UBSan with g++ 12.
class Settler {
 public:
  // owner: kept alive until Node has let go of the thread-safe function. idle: JavaScript's thread, when the last open
  // promise has been settled.
  Settler(Napi::Env env, std::function<void()> idle);
  void hold(std::shared_ptr<void> owner) { owner_ = std::move(owner); }

  // JavaScript's thread. The promise stays open until settle().
  struct Open {
    Napi::Promise promise;
    std::unique_ptr<Settlement> settlement;
  };
  Open open(Napi::Env env);
  // An open promise more or less, for those who settle it themselves. JavaScript's thread.
  void ref(Napi::Env env);
  void unref(Napi::Env env);
  int pending() const { return pending_; }

  // Any thread. Dropped when the environment is going down.
  void settle(std::unique_ptr<Settlement> settlement);
  // JavaScript's thread, once, when nothing will be settled any more.
  void release();

 private:
  static void onSettled(napi_env env, napi_value, void* context, void* data);
  static void onFinalized(napi_env, void* data, void*);

  napi_threadsafe_function function_ = nullptr;
  int pending_ = 0;
  std::function<void()> idle_;
  std::shared_ptr<void> owner_;
};

}  // namespace bt
