// How JavaScript objects stand for native ones: classes whose constructor is the core's alone, a type tag that is
// checked before every unwrap, and methods whose failures reject.
#pragma once
#include <napi.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "addon/environment.h"
#include "addon/errors.h"
#include "addon/session.h"
#include "model/error.h"

namespace bt {

// Base of every wrapped class T. T has: static constexpr const char* kName; static constexpr int kClass (its place in
// Environment::constructors); static constexpr napi_type_tag kTag; static std::vector<napi_property_descriptor>
// methods().
class Handle {
 public:
  explicit Handle(std::shared_ptr<Session> session) : session_(std::move(session)) { session_->handleMade(); }
  virtual ~Handle() { session_->handleGone(); }
  Handle(const Handle&) = delete;

  const std::shared_ptr<Session>& session() const { return session_; }

 protected:
  std::shared_ptr<Session> session_;
};

// A handle on an object that the worker owns.
template <class Native>
class SlotHandle : public Handle {
 public:
  SlotHandle(std::shared_ptr<Session> session, std::shared_ptr<Slot<Native>> slot)
      : Handle(std::move(session)), slot_(std::move(slot)) {}
  ~SlotHandle() override { session_->free(slot_); }

  // For a call made now. Throws BT_CLOSED.
  std::shared_ptr<Slot<Native>> open(const char* name) const {
    if (session_->closing()) throw Error("BT_CLOSED", std::string(name) + ": its runtime is closed");
    if (closed_) throw Error("BT_CLOSED", std::string(name) + ": it is closed");
    return slot_;
  }

  // Frees the object after the calls made so far. Idempotent.
  Napi::Value close(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (session_->closing()) return session_->close(env);
    closed_ = true;
    return session_->call(
        env,
        [slot = slot_] {
          slot->clear();
          return true;
        },
        [](Napi::Env env, bool) { return env.Undefined(); }, true);
  }

 protected:
  std::shared_ptr<Slot<Native>> slot_;
  bool closed_ = false;
};

// Throws BT_ARGUMENT when `value` is not an object that the core made as a T.
template <class T>
T& unwrap(Napi::Env env, napi_value value, const std::string& path) {
  napi_valuetype type;
  bool tagged = false;
  void* data = nullptr;
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_object ||
      napi_check_object_type_tag(env, value, &T::kTag, &tagged) != napi_ok || !tagged ||
      napi_unwrap(env, value, &data) != napi_ok) {
    throw Error("BT_ARGUMENT", path + ": expected a " + T::kName);
  }
  return *static_cast<T*>(data);
}

// Makes the JavaScript object of a T.
template <class T>
Napi::Object makeObject(Napi::Env env, std::unique_ptr<T> native) {
  Environment& environment = Environment::of(env);
  environment.making = native.get();
  Napi::Object object;
  try {
    object = environment.constructors[T::kClass].New({});
  } catch (...) {
    environment.making = nullptr;
    throw;
  }
  native.release();  // the wrap owns it
  return object;
}

template <class T>
napi_value construct(napi_env rawEnv, napi_callback_info rawInfo) {
  return Napi::details::WrapCallback(rawEnv, [&]() -> napi_value {
    Napi::CallbackInfo info(rawEnv, rawInfo);
    Napi::Env env = info.Env();
    auto* native = static_cast<T*>(std::exchange(Environment::of(env).making, nullptr));
    if (native == nullptr || !info.IsConstructCall()) {
      throw makeError(env, {"BT_ARGUMENT", std::string(T::kName) + " is made by a runtime, not by its constructor"});
    }
    napi_value self = info.This();
    auto finalize = [](napi_env, void* data, void*) { delete static_cast<T*>(data); };
    if (napi_type_tag_object(rawEnv, self, &T::kTag) != napi_ok ||
        napi_wrap(rawEnv, self, native, finalize, nullptr, nullptr) != napi_ok) {
      throw Napi::Error::New(env);
    }
    return self;
  });
}

// A method that returns a promise: whatever goes wrong rejects it.
template <class T, auto Method>
napi_value asyncMethod(napi_env rawEnv, napi_callback_info rawInfo) {
  return Napi::details::WrapCallback(rawEnv, [&]() -> napi_value {
    Napi::CallbackInfo info(rawEnv, rawInfo);
    try {
      return (unwrap<T>(rawEnv, info.This(), "this").*Method)(info);
    } catch (...) {
      auto deferred = Napi::Promise::Deferred::New(rawEnv);
      deferred.Reject(makeError(rawEnv, currentFailure()).Value());
      return deferred.Promise();
    }
  });
}

// A method that answers at once: whatever goes wrong is thrown.
template <class T, auto Method>
napi_value syncMethod(napi_env rawEnv, napi_callback_info rawInfo) {
  return Napi::details::WrapCallback(rawEnv, [&]() -> napi_value {
    Napi::CallbackInfo info(rawEnv, rawInfo);
    try {
      return (unwrap<T>(rawEnv, info.This(), "this").*Method)(info);
    } catch (...) {
      throw makeError(rawEnv, currentFailure());
    }
  });
}

inline napi_property_descriptor property(const char* name, napi_callback method) {
  return {name, nullptr, method, nullptr, nullptr, nullptr, napi_default_method, nullptr};
}

// Defines T's class in this environment.
template <class T>
void defineClass(Napi::Env env) {
  const std::vector<napi_property_descriptor> methods = T::methods();
  napi_value constructor;
  if (napi_define_class(env, T::kName, NAPI_AUTO_LENGTH, construct<T>, nullptr, methods.size(), methods.data(),
                        &constructor) != napi_ok) {
    throw Napi::Error::New(env);
  }
  Environment::of(env).constructors[T::kClass] = Napi::Persistent(Napi::Function(env, constructor));
}

}  // namespace bt
