#include "addon/model.h"

#include "addon/convert.h"
#include "addon/lora.h"
#include "addon/sampler.h"
#include "addon/trainer.h"
#include "train/score.h"

namespace bt {

namespace {

c10::ScalarType precisionDtype(const std::string& precision) {
  if (precision == "fp32") return c10::ScalarType::Float;
  return precision == "bf16" ? c10::ScalarType::BFloat16 : c10::ScalarType::Half;
}

}  // namespace

std::vector<napi_property_descriptor> ModelObject::methods() {
  return {property("attachLora", asyncMethod<ModelObject, &ModelObject::attachLora>),
          property("createTrainer", asyncMethod<ModelObject, &ModelObject::createTrainer>),
          property("createSampler", asyncMethod<ModelObject, &ModelObject::createSampler>),
          property("logProbs", asyncMethod<ModelObject, &ModelObject::logProbs>),
          property("logits", asyncMethod<ModelObject, &ModelObject::logits>),
          property("hiddenStates", asyncMethod<ModelObject, &ModelObject::hiddenStates>),
          property("close", asyncMethod<ModelObject, &ModelObject::closeModel>)};
}

ModelObject::ModelObject(Napi::Env env, std::shared_ptr<Session> session, std::shared_ptr<Slot<Model>> slot,
                         ModelConfig config, c10::ScalarType dtype, int64_t weightBytes)
    : SlotHandle(std::move(session), std::move(slot)), env_(env), config_(std::move(config)), dtype_(dtype) {
  account(weightBytes);
}

ModelObject::~ModelObject() { account(-accounted_); }

void ModelObject::account(int64_t bytes) {
  int64_t total;
  napi_adjust_external_memory(env_, bytes, &total);
  accounted_ += bytes;
}

Napi::Value ModelObject::closeModel(const Napi::CallbackInfo& info) {
  account(-accounted_);
  return close(info);
}

std::shared_ptr<Slot<Lora>> ModelObject::loraArgument(const Napi::CallbackInfo& info, size_t index, bool optional) {
  if (optional && info[index].IsUndefined()) return nullptr;
  auto& lora = unwrap<LoraObject>(info.Env(), info[index], "lora");
  if (lora.model() != slot_) throw Error("BT_ARGUMENT", "lora: it is attached to another model");
  return lora.open("Lora");
}

Napi::Value ModelObject::attachLora(const Napi::CallbackInfo& info) {
  auto arguments = std::make_shared<LoraArguments>(toLora(info[0]));
  auto slot = open(kName);
  Session* session = session_.get();
  return session->call(
      info.Env(),
      [session, slot, arguments] {
        const Model& model = *slot->object;
        return session->keep(
            std::make_shared<Lora>(model.config(), arguments->options, model.device(), arguments->tensors));
      },
      [shared = session_, slot](Napi::Env env, const std::shared_ptr<Slot<Lora>>& lora) {
        return makeObject(env, std::make_unique<LoraObject>(shared, lora, slot));
      });
}

Napi::Value ModelObject::createTrainer(const Napi::CallbackInfo& info) {
  auto lora = loraArgument(info, 0, false);
  const TrainerArguments arguments = toTrainer(info[1]);
  if (precisionDtype(arguments.precision) != dtype_) {
    throw Error("BT_ARGUMENT", "options.precision: '" + arguments.precision + "' needs a model loaded as '" +
                                   dtypeName(precisionDtype(arguments.precision)) + "'; this one is '" +
                                   dtypeName(dtype_) + "'");
  }
  auto slot = open(kName);
  Session* session = session_.get();
  return session->call(
      info.Env(),
      [session, slot, lora, arguments] {
        return session->keep(std::make_shared<Trainer>(slot->object, lora->object, arguments.options));
      },
      [shared = session_, config = config_](Napi::Env env, const std::shared_ptr<Slot<Trainer>>& trainer) {
        return makeObject(env, std::make_unique<TrainerObject>(shared, trainer, config));
      });
}

Napi::Value ModelObject::createSampler(const Napi::CallbackInfo& info) {
  const SamplerOptions options = toSampler(info[0]);
  auto lora = loraArgument(info, 1, true);
  auto slot = open(kName);
  Session* session = session_.get();
  return session->call(
      info.Env(),
      [session, slot, lora, options] {
        return session->keep(std::make_shared<Sampler>(slot->object, lora ? lora->object : nullptr, options));
      },
      [shared = session_, config = config_](Napi::Env env, const std::shared_ptr<Slot<Sampler>>& sampler) {
        return makeObject(env, std::make_unique<SamplerObject>(shared, sampler, config));
      });
}

Napi::Value ModelObject::logProbs(const Napi::CallbackInfo& info) {
  auto batch = toBatch(info[0], "batch", config_);
  auto lora = loraArgument(info, 1, true);
  auto slot = open(kName);
  return session_->call(
      info.Env(),
      [slot, lora, batch = std::move(batch)] {
        return bt::logProbs(*slot->object, lora ? lora->object.get() : nullptr, batch);
      },
      fromFloats);
}

Napi::Value ModelObject::hiddenStates(const Napi::CallbackInfo& info) {
  auto batch = toBatch(info[0], "batch", config_);
  auto lora = loraArgument(info, 1, true);
  auto slot = open(kName);
  return session_->call(
      info.Env(),
      [slot, lora, batch = std::move(batch)] {
        return meanHiddenStates(*slot->object, lora ? lora->object.get() : nullptr, batch);
      },
      fromFloats);
}

Napi::Value ModelObject::logits(const Napi::CallbackInfo& info) {
  auto batch = toBatch(info[0], "batch", config_);
  auto lora = loraArgument(info, 1, true);
  auto slot = open(kName);
  return session_->call(
      info.Env(),
      [slot, lora, batch = std::move(batch)] {
        return bt::logits(*slot->object, lora ? lora->object.get() : nullptr, batch);
      },
      fromFloats);
}

}  // namespace bt
