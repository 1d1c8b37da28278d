// Whatever was thrown, as a code and a message; and as an Error of JavaScript. The one place that classifies.
#pragma once
#include <napi.h>

#include <string>

namespace bt {

struct Failure {
  std::string code;  // one of NativeErrorCode in binding.d.ts
  std::string message;
};

// The exception being handled, to be called inside a catch block. Any thread.
Failure currentFailure();

// An Error with `code`. JavaScript's thread.
Napi::Error makeError(Napi::Env env, const Failure& failure);

}  // namespace bt
