#include "addon/trainer.h"

#include "addon/clock.h"
#include "addon/convert.h"

namespace bt {

std::vector<napi_property_descriptor> TrainerObject::methods() {
  return {property("step", asyncMethod<TrainerObject, &TrainerObject::step>),
          property("gradients", asyncMethod<TrainerObject, &TrainerObject::gradients>),
          property("evaluate", asyncMethod<TrainerObject, &TrainerObject::evaluate>),
          property("diagnose", asyncMethod<TrainerObject, &TrainerObject::diagnose>),
          property("buffers", asyncMethod<TrainerObject, &TrainerObject::buffers>),
          property("state", asyncMethod<TrainerObject, &TrainerObject::state>),
          property("restore", asyncMethod<TrainerObject, &TrainerObject::restore>),
          property("close", asyncMethod<TrainerObject, &SlotHandle<Trainer>::close>)};
}

Napi::Value TrainerObject::step(const Napi::CallbackInfo& info) {
  auto batches = toBatches(info[0], "microBatches", config_);
  const StepArguments arguments = toStep(info[1]);
  auto slot = open(kName);
  return session_->call(
      info.Env(),
      [slot, batches = std::move(batches), arguments] {
        const Stopwatch watch;
        const StepResult result = slot->object->step(batches, arguments.learningRate, arguments.step);
        return std::pair{result, watch.milliseconds()};
      },
      [](Napi::Env env, const std::pair<StepResult, double>& done) { return fromStep(env, done.first, done.second); });
}

Napi::Value TrainerObject::gradients(const Napi::CallbackInfo& info) {
  auto batches = toBatches(info[0], "microBatches", config_);
  const StepArguments arguments = toStep(info[1]);
  auto slot = open(kName);
  return session_->call(
      info.Env(),
      [slot, batches = std::move(batches), arguments] {
        const double loss = slot->object->gradients(batches, arguments.step);
        const Lora& lora = slot->object->lora();
        return std::pair{loss, lora.matrices(lora.gradients)};
      },
      [](Napi::Env env, const std::pair<double, std::vector<NamedMatrix>>& done) {
        auto object = Napi::Object::New(env);
        object.Set("loss", done.first);
        object.Set("tensors", fromMatrices(env, done.second));
        return object;
      });
}

Napi::Value TrainerObject::evaluate(const Napi::CallbackInfo& info) {
  auto batch = toBatch(info[0], "batch", config_);
  auto slot = open(kName);
  return session_->call(
      info.Env(), [slot, batch = std::move(batch)] { return slot->object->evaluate(batch); },
      [](Napi::Env env, const EvaluateResult& result) {
        auto object = Napi::Object::New(env);
        object.Set("lossSum", result.lossSum);
        object.Set("scoredTokens", static_cast<double>(result.scoredTokens));
        return object;
      });
}

Napi::Value TrainerObject::diagnose(const Napi::CallbackInfo& info) {
  auto batches = toBatches(info[0], "microBatches", config_);
  const StepArguments arguments = toStep(info[1]);
  auto slot = open(kName);
  return session_->call(
      info.Env(),
      [slot, batches = std::move(batches), arguments] { return slot->object->diagnose(batches, arguments.step); },
      fromNotFinite);
}

Napi::Value TrainerObject::buffers(const Napi::CallbackInfo& info) {
  auto slot = open(kName);
  return session_->call(
      info.Env(), [slot] { return slot->object->buffers(); },
      [](Napi::Env env, const BufferBytes& bytes) {
        auto object = Napi::Object::New(env);
        for (const auto& [name, count] : bytes) object.Set(name, static_cast<double>(count));
        return object;
      });
}

Napi::Value TrainerObject::state(const Napi::CallbackInfo& info) {
  auto slot = open(kName);
  return session_->call(info.Env(), [slot] { return slot->object->state(); }, fromState);
}

Napi::Value TrainerObject::restore(const Napi::CallbackInfo& info) {
  auto state = toState(info[0]);
  auto slot = open(kName);
  return session_->call(
      info.Env(),
      [slot, state = std::move(state)] {
        slot->object->restore(state);
        return true;
      },
      [](Napi::Env env, bool) { return env.Undefined(); });
}

}  // namespace bt
