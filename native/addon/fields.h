// Reads the fields of one JavaScript object, naming the one that is wrong. What each struct needs stands in convert.cc.
#pragma once
#include <napi.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace bt {

inline constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Which numbers a field takes.
struct Range {
  double least = -kInfinity, most = kInfinity;
  bool openLeast = false, openMost = false;  // the bound itself is refused
};

class Fields {
 public:
  // Throws BT_ARGUMENT when `value` is no object.
  Fields(Napi::Value value, std::string path);

  std::string path(const char* name) const { return path_ + "." + name; }
  Napi::Value value(const char* name) const { return object_.Get(name); }
  bool has(const char* name) const { return !value(name).IsUndefined(); }

  double number(const char* name, Range range = {}) const;
  double number(const char* name, Range range, double otherwise) const;
  int64_t integer(const char* name, int64_t least = 0, int64_t most = kMaxSafeInteger) const;
  int64_t integer(const char* name, int64_t least, int64_t most, int64_t otherwise) const;
  bool boolean(const char* name) const;
  bool boolean(const char* name, bool otherwise) const;
  std::string string(const char* name) const;
  // One of `choices`.
  std::string choice(const char* name, const std::vector<std::string>& choices) const;
  std::vector<int32_t> int32s(const char* name) const;  // Int32Array
  std::vector<float> floats(const char* name) const;    // Float32Array
  std::vector<uint8_t> bytes(const char* name) const;   // Uint8Array

 private:
  Napi::Object object_;
  std::string path_;
};

// Throws BT_ARGUMENT: "path: expected EXPECTED, got VALUE".
[[noreturn]] void refuse(const std::string& path, const std::string& expected, Napi::Value got);

double toNumber(Napi::Value value, const std::string& path, Range range);
std::string toText(Napi::Value value, const std::string& path);
// Throws BT_ARGUMENT when `value` is no array.
Napi::Array toArray(Napi::Value value, const std::string& path);

// An array's elements through read(value, "path[i]").
template <class T, class Read>
std::vector<T> toVector(Napi::Value value, const std::string& path, Read read) {
  Napi::Array array = toArray(value, path);
  std::vector<T> result;
  for (uint32_t i = 0; i < array.Length(); i++) {
    Napi::HandleScope scope(value.Env());
    result.push_back(read(array.Get(i), path + "[" + std::to_string(i) + "]"));
  }
  return result;
}

}  // namespace bt
