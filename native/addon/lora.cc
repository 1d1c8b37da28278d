#include "addon/lora.h"

#include "addon/convert.h"

namespace bt {

std::vector<napi_property_descriptor> LoraObject::methods() {
  return {property("tensors", asyncMethod<LoraObject, &LoraObject::tensors>),
          property("load", asyncMethod<LoraObject, &LoraObject::load>),
          property("close", asyncMethod<LoraObject, &SlotHandle<Lora>::close>)};
}

Napi::Value LoraObject::tensors(const Napi::CallbackInfo& info) {
  auto slot = open(kName);
  return session_->call(info.Env(), [slot] { return slot->object->matrices(); }, fromMatrices);
}

Napi::Value LoraObject::load(const Napi::CallbackInfo& info) {
  auto matrices = toMatrices(info[0], "tensors");
  auto slot = open(kName);
  return session_->call(
      info.Env(),
      [slot, matrices = std::move(matrices)] {
        slot->object->load(matrices);
        return true;
      },
      [](Napi::Env env, bool) { return env.Undefined(); });
}

}  // namespace bt
