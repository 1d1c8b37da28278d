#include "addon/fields.h"

#include <cmath>
#include <cstring>
#include <sstream>
#include <utility>

#include "addon/convert.h"
#include "model/error.h"

namespace bt {

namespace {

std::string describe(Napi::Value value) {
  switch (value.Type()) {
    case napi_undefined: return "nothing";
    case napi_null: return "null";
    case napi_boolean:
    case napi_number: return value.ToString().Utf8Value();
    case napi_string: {
      std::string text = value.As<Napi::String>().Utf8Value();
      return "'" + (text.size() > 40 ? text.substr(0, 37) + "..." : text) + "'";
    }
    case napi_function: return "a function";
    case napi_symbol: return "a symbol";
    case napi_bigint: return "a BigInt";
    default:
      if (value.IsTypedArray()) return "a typed array of another kind";
      return value.IsArray() ? "an array" : "an object";
  }
}

std::string text(double number) {
  std::ostringstream out;
  out.precision(17);
  out << number;
  return out.str();
}

std::string describe(Range range) {
  const std::string least = text(range.least), most = text(range.most);
  if (range.most == kInfinity && range.least == -kInfinity) return "a finite number";
  if (range.most == kInfinity) return (range.openLeast ? "a number above " : "a number of at least ") + least;
  return "a number from " + least + (range.openLeast ? " (exclusive)" : "") + " to " + most +
         (range.openMost ? " (exclusive)" : "");
}

// The bytes of a typed array, copied now: its buffer may be detached or resized while the call waits.
template <class T>
std::vector<T> copyTyped(Napi::Value value, const std::string& path, napi_typedarray_type wanted, const char* name) {
  Napi::Env env = value.Env();
  if (!value.IsTypedArray()) refuse(path, name, value);
  napi_typedarray_type type;
  size_t length;
  void* data;
  napi_value buffer;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, &buffer, nullptr) != napi_ok || type != wanted) {
    refuse(path, name, value);
  }
  bool ordinary = false, detached = false;
  napi_is_arraybuffer(env, buffer, &ordinary);
  if (!ordinary) throw Error("BT_ARGUMENT", path + ": its buffer is shared between threads; pass a copy");
  napi_is_detached_arraybuffer(env, buffer, &detached);
  if (detached) throw Error("BT_ARGUMENT", path + ": its buffer is detached");
  if (Napi::Object(env, buffer).Get("resizable").ToBoolean()) {
    throw Error("BT_ARGUMENT", path + ": its buffer is resizable; pass a copy");
  }
  std::vector<T> copy(length);
  if (length > 0) std::memcpy(copy.data(), data, length * sizeof(T));
  return copy;
}

}  // namespace

void refuse(const std::string& path, const std::string& expected, Napi::Value got) {
  throw Error("BT_ARGUMENT", path + ": expected " + expected + ", got " + describe(got));
}

double toNumber(Napi::Value value, const std::string& path, Range range) {
  if (!value.IsNumber()) refuse(path, describe(range), value);
  const double number = value.As<Napi::Number>().DoubleValue();
  const bool inside = range.openLeast ? number > range.least : number >= range.least;
  const bool below = range.openMost ? number < range.most : number <= range.most;
  if (!std::isfinite(number) || !inside || !below) refuse(path, describe(range), value);
  return number;
}

int64_t toInteger(Napi::Value value, const std::string& path, int64_t least, int64_t most) {
  auto expected = [&] {
    if (most == kMaxSafeInteger) return "an integer of at least " + std::to_string(least);
    return "an integer from " + std::to_string(least) + " to " + std::to_string(most);
  };
  if (!value.IsNumber()) refuse(path, expected(), value);
  const double number = value.As<Napi::Number>().DoubleValue();
  if (std::trunc(number) != number || number < static_cast<double>(least) || number > static_cast<double>(most)) {
    refuse(path, expected(), value);  // NaN and infinities too
  }
  return static_cast<int64_t>(number);
}

std::string toText(Napi::Value value, const std::string& path) {
  if (!value.IsString()) refuse(path, "a string", value);
  std::string text = value.As<Napi::String>().Utf8Value();
  if (text.find('\0') != std::string::npos) refuse(path, "a string without NUL", value);
  return text;
}

Napi::Array toArray(Napi::Value value, const std::string& path) {
  if (!value.IsArray()) refuse(path, "an array", value);
  return value.As<Napi::Array>();
}

Fields::Fields(Napi::Value value, std::string path) : path_(std::move(path)) {
  if (!value.IsObject() || value.IsFunction() || value.IsArray()) refuse(path_, "an object", value);
  object_ = value.As<Napi::Object>();
}

double Fields::number(const char* name, Range range) const { return toNumber(value(name), path(name), range); }

double Fields::number(const char* name, Range range, double otherwise) const {
  return has(name) ? number(name, range) : otherwise;
}

int64_t Fields::integer(const char* name, int64_t least, int64_t most) const {
  return toInteger(value(name), path(name), least, most);
}

int64_t Fields::integer(const char* name, int64_t least, int64_t most, int64_t otherwise) const {
  return has(name) ? integer(name, least, most) : otherwise;
}

bool Fields::boolean(const char* name) const {
  Napi::Value found = value(name);
  if (!found.IsBoolean()) refuse(path(name), "true or false", found);
  return found.As<Napi::Boolean>();
}

bool Fields::boolean(const char* name, bool otherwise) const { return has(name) ? boolean(name) : otherwise; }

std::string Fields::string(const char* name) const { return toText(value(name), path(name)); }

std::string Fields::choice(const char* name, const std::vector<std::string>& choices) const {
  Napi::Value found = value(name);
  if (found.IsString()) {
    const std::string given = found.As<Napi::String>().Utf8Value();
    for (const auto& choice : choices) {
      if (choice == given) return choice;
    }
  }
  std::string list;
  for (const auto& choice : choices) list += (list.empty() ? "'" : " or '") + choice + "'";
  refuse(path(name), list, found);
}

std::vector<int32_t> Fields::int32s(const char* name) const {
  return copyTyped<int32_t>(value(name), path(name), napi_int32_array, "an Int32Array");
}

std::vector<float> Fields::floats(const char* name) const {
  return copyTyped<float>(value(name), path(name), napi_float32_array, "a Float32Array");
}

std::vector<uint8_t> Fields::bytes(const char* name) const {
  return copyTyped<uint8_t>(value(name), path(name), napi_uint8_array, "a Uint8Array");
}

}  // namespace bt
