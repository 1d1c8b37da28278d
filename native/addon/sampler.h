// Sampler of binding.d.ts: prompts decoded side by side.
#pragma once
#include "addon/handle.h"
#include "sample/sampler.h"

namespace bt {

class SamplerObject : public SlotHandle<Sampler> {
 public:
  static constexpr const char* kName = "Sampler";
  static constexpr int kClass = 4;
  static constexpr napi_type_tag kTag{0x6274'7361'6d70'6c00, 0x9d1f'5c0e'2b6a'4e05};
  static std::vector<napi_property_descriptor> methods();

  SamplerObject(std::shared_ptr<Session> session, std::shared_ptr<Slot<Sampler>> slot, ModelConfig config)
      : SlotHandle(std::move(session), std::move(slot)), config_(std::move(config)) {}

 private:
  Napi::Value add(const Napi::CallbackInfo& info);
  Napi::Value advance(const Napi::CallbackInfo& info);
  Napi::Value logProbs(const Napi::CallbackInfo& info);

  ModelConfig config_;
};

}  // namespace bt
