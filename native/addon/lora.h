// Lora of binding.d.ts: an adapter attached to one model.
#pragma once
#include "addon/handle.h"
#include "model/lora.h"

namespace bt {

class LoraObject : public SlotHandle<Lora> {
 public:
  static constexpr const char* kName = "Lora";
  static constexpr int kClass = 2;
  static constexpr napi_type_tag kTag{0x6274'6c6f'7261'0000, 0x9d1f'5c0e'2b6a'4e03};
  static std::vector<napi_property_descriptor> methods();

  // model: the slot it was attached to, which says which model may use it.
  LoraObject(std::shared_ptr<Session> session, std::shared_ptr<Slot<Lora>> slot, std::shared_ptr<Slot<Model>> model)
      : SlotHandle(std::move(session), std::move(slot)), model_(std::move(model)) {}

  const std::shared_ptr<Slot<Model>>& model() const { return model_; }

 private:
  Napi::Value tensors(const Napi::CallbackInfo& info);
  Napi::Value load(const Napi::CallbackInfo& info);

  std::shared_ptr<Slot<Model>> model_;
};

}  // namespace bt
