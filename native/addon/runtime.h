// Runtime of binding.d.ts: one worker thread on one device, and what may be opened from it.
#pragma once
#include "addon/handle.h"

namespace bt {

class RuntimeObject : public Handle {
 public:
  static constexpr const char* kName = "Runtime";
  static constexpr int kClass = 0;
  static constexpr napi_type_tag kTag{0x6274'7275'6e74'696d, 0x9d1f'5c0e'2b6a'4e01};
  static std::vector<napi_property_descriptor> methods();

  using Handle::Handle;

 private:
  // Throws BT_CLOSED.
  Session& open() const;

  Napi::Value loadModel(const Napi::CallbackInfo& info);
  Napi::Value exportTensor(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value measureGemm(const Napi::CallbackInfo& info);
  Napi::Value measureBandwidth(const Napi::CallbackInfo& info);
  Napi::Value abort(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
};

}  // namespace bt
