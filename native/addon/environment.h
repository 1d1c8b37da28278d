// What the core keeps for one environment of Node (the main thread, or one worker_threads thread): the classes.
#pragma once
#include <napi.h>

#include <array>
#include <memory>

namespace bt {

inline constexpr int kClasses = 5;  // Runtime, Model, Lora, Trainer, Sampler

struct Environment {
  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  std::array<Napi::FunctionReference, kClasses> constructors;
  Napi::ObjectReference exports;
  // Set while the core itself constructs an object: a constructor that finds it empty was called by a script.
  void* making = nullptr;
};

}  // namespace bt
