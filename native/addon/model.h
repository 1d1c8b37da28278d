// Model of binding.d.ts: a frozen decoder. What is opened from it keeps its weights until that is closed too.
#pragma once
#include "addon/handle.h"
#include "model/config.h"
#include "model/lora.h"
#include "model/model.h"

namespace bt {

class ModelObject : public SlotHandle<Model> {
 public:
  static constexpr const char* kName = "Model";
  static constexpr int kClass = 1;
  static constexpr napi_type_tag kTag{0x6274'6d6f'6465'6c00, 0x9d1f'5c0e'2b6a'4e02};
  static std::vector<napi_property_descriptor> methods();

  ModelObject(Napi::Env env, std::shared_ptr<Session> session, std::shared_ptr<Slot<Model>> slot, ModelConfig config,
              c10::ScalarType dtype, int64_t weightBytes);
  ~ModelObject() override;

 private:
  Napi::Value attachLora(const Napi::CallbackInfo& info);
  Napi::Value createTrainer(const Napi::CallbackInfo& info);
  Napi::Value createSampler(const Napi::CallbackInfo& info);
  Napi::Value logProbs(const Napi::CallbackInfo& info);
  Napi::Value logits(const Napi::CallbackInfo& info);
  Napi::Value hiddenStates(const Napi::CallbackInfo& info);
  Napi::Value closeModel(const Napi::CallbackInfo& info);
  // The slot of argument `index`, which must be a Lora of this model; null when it may be absent and is.
  std::shared_ptr<Slot<Lora>> loraArgument(const Napi::CallbackInfo& info, size_t index, bool optional);
  // Tells V8 how much this object holds, so that forgotten models are collected in time.
  void account(int64_t bytes);

  napi_env env_;
  ModelConfig config_;
  c10::ScalarType dtype_;
  int64_t accounted_ = 0;
};

}  // namespace bt
