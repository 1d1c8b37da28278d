// The one exception of the native side. Its code crosses into JavaScript as `error.code`.
#pragma once
#include <stdexcept>
#include <string>

namespace bt {

class Error : public std::runtime_error {
 public:
  // code: one of NativeErrorCode in binding.d.ts
  Error(const char* code, const std::string& message) : std::runtime_error(message), code_(code) {}
  const char* code() const { return code_; }

 private:
  const char* code_;
};

}  // namespace bt
