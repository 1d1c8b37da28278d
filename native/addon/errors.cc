#include "addon/errors.h"

#include <c10/util/Exception.h>

#include <cstdlib>
#include <new>
#include <stdexcept>

#include "model/error.h"

namespace bt {

namespace {

// libtorch's CPU allocator raises a plain c10::Error: "... can't allocate memory: you tried to allocate N bytes ...".
bool cpuOutOfMemory(const std::string& text) { return text.find("can't allocate memory") != std::string::npos; }

Failure outOfMemory(const std::string& text) {
  const std::string marker = "tried to allocate ";
  const size_t at = text.find(marker);
  if (at == std::string::npos) return {"BT_OUT_OF_MEMORY", "out of memory"};
  std::string amount = text.substr(at + marker.size());  // "N bytes. Error code 12 ..." or CUDA's "2.00 GiB. GPU 0 ..."
  size_t end = amount.find(". ");
  if (end == std::string::npos) end = amount.find_first_of("\n");
  amount = amount.substr(0, end);
  return {"BT_OUT_OF_MEMORY", "out of memory: " + amount + " could not be allocated"};
}

}  // namespace

Failure currentFailure() {
  try {
    throw;
  } catch (const Error& error) {
    return {error.code(), error.what()};
  } catch (const Napi::Error& error) {
    return {"BT_ARGUMENT", error.Message()};  // a getter or a proxy of the caller threw; JavaScript's thread alone
  } catch (const c10::OutOfMemoryError& error) {
    return outOfMemory(error.what_without_backtrace());
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    return cpuOutOfMemory(text) ? outOfMemory(text) : Failure{"BT_NATIVE", text};
  } catch (const std::bad_alloc&) {
    return {"BT_OUT_OF_MEMORY", "out of memory"};
  } catch (const std::length_error&) {
    return {"BT_OUT_OF_MEMORY", "out of memory: a size is past what one allocation can hold"};
  } catch (const std::exception& error) {
    return {"BT_NATIVE", error.what()};
  } catch (...) {
    return {"BT_NATIVE", "an exception of unknown type was thrown"};
  }
}

Napi::Error makeError(Napi::Env env, const Failure& failure) {
  auto error = Napi::Error::New(env, failure.message);
  error.Set("code", Napi::String::New(env, failure.code));
  return error;
}

}  // namespace bt
