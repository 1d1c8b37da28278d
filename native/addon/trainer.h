// Trainer of binding.d.ts: one training run of a Lora.
#pragma once
#include "addon/handle.h"
#include "model/config.h"
#include "train/trainer.h"

namespace bt {

class TrainerObject : public SlotHandle<Trainer> {
 public:
  static constexpr const char* kName = "Trainer";
  static constexpr int kClass = 3;
  static constexpr napi_type_tag kTag{0x6274'7472'6169'6e00, 0x9d1f'5c0e'2b6a'4e04};
  static std::vector<napi_property_descriptor> methods();

  TrainerObject(std::shared_ptr<Session> session, std::shared_ptr<Slot<Trainer>> slot, ModelConfig config)
      : SlotHandle(std::move(session), std::move(slot)), config_(std::move(config)) {}

 private:
  Napi::Value step(const Napi::CallbackInfo& info);
  Napi::Value gradients(const Napi::CallbackInfo& info);
  Napi::Value evaluate(const Napi::CallbackInfo& info);
  Napi::Value diagnose(const Napi::CallbackInfo& info);
  Napi::Value buffers(const Napi::CallbackInfo& info);
  Napi::Value state(const Napi::CallbackInfo& info);
  Napi::Value restore(const Napi::CallbackInfo& info);

  ModelConfig config_;
};

}  // namespace bt
