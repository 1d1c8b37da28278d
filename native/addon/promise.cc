#include "addon/promise.h"

#include <utility>

namespace bt {

namespace {

void settleOne(Napi::Env env, Settlement& settlement) {
  napi_value value = nullptr;
  if (!settlement.failure) {
    try {
      value = settlement.result(env);
    } catch (const Napi::Error& error) {
      // V8 refuses a buffer of this size: the one thing that can go wrong in making a result.
      settlement.failure = Failure{"BT_OUT_OF_MEMORY", "the result could not be handed over: " + error.Message()};
    } catch (...) {
      settlement.failure = currentFailure();
    }
  }
  if (settlement.failure) {
    napi_reject_deferred(env, settlement.deferred, makeError(env, *settlement.failure).Value());
  } else {
    napi_resolve_deferred(env, settlement.deferred, value);
  }
}

}  // namespace

Settler::Settler(Napi::Env env, std::function<void()> idle) : idle_(std::move(idle)) {
  const napi_status status = napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "bt-native"),
                                                             0, 1, this, onFinalized, this, onSettled, &function_);
  if (status != napi_ok) throw Napi::Error::New(env);
  napi_unref_threadsafe_function(env, function_);
}

Settler::Open Settler::open(Napi::Env env) {
  auto settlement = std::make_unique<Settlement>();
  napi_value promise;
  if (napi_create_promise(env, &settlement->deferred, &promise) != napi_ok) throw Napi::Error::New(env);
  ref(env);
  return {Napi::Promise(env, promise), std::move(settlement)};
}

void Settler::ref(Napi::Env env) {
  if (pending_++ == 0) napi_ref_threadsafe_function(env, function_);
}

void Settler::unref(Napi::Env env) {
  if (--pending_ > 0) return;
  napi_unref_threadsafe_function(env, function_);
  idle_();
}

void Settler::settle(std::unique_ptr<Settlement> settlement) {
  Settlement* raw = settlement.release();
  if (napi_call_threadsafe_function(function_, raw, napi_tsfn_nonblocking) != napi_ok) delete raw;
}

void Settler::release() { napi_release_threadsafe_function(function_, napi_tsfn_release); }

void Settler::onSettled(napi_env rawEnv, napi_value, void* context, void* data) {
  std::unique_ptr<Settlement> settlement(static_cast<Settlement*>(data));
  if (rawEnv == nullptr) return;  // the environment is going down: nobody is left to be told
  Napi::Env env(rawEnv);
  auto* self = static_cast<Settler*>(context);
  Napi::HandleScope scope(env);
  try {
    const bool waited = settlement->deferred != nullptr;
    if (waited) settleOne(env, *settlement);
    if (settlement->then) settlement->then(env);
    if (waited) self->unref(env);
  } catch (const Napi::Error&) {
    // worker.terminate() came in between and JavaScript can no longer run: the cleanup hook ends the rest.
  }
}

void Settler::onFinalized(napi_env, void* data, void*) {
  std::shared_ptr<void> owner = std::move(static_cast<Settler*>(data)->owner_);
}

}  // namespace bt
