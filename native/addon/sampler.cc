#include "addon/sampler.h"

#include "addon/clock.h"
#include "addon/convert.h"

namespace bt {

std::vector<napi_property_descriptor> SamplerObject::methods() {
  return {property("add", asyncMethod<SamplerObject, &SamplerObject::add>),
          property("logProbs", asyncMethod<SamplerObject, &SamplerObject::logProbs>),
          property("advance", asyncMethod<SamplerObject, &SamplerObject::advance>),
          property("close", asyncMethod<SamplerObject, &SlotHandle<Sampler>::close>)};
}

Napi::Value SamplerObject::add(const Napi::CallbackInfo& info) {
  auto prompts = toPrompts(info[0]);
  auto slot = open(kName);
  return session_->call(
      info.Env(),
      [slot, prompts = std::move(prompts)] {
        slot->object->add(prompts);
        return true;
      },
      [](Napi::Env env, bool) { return env.Undefined(); });
}

Napi::Value SamplerObject::advance(const Napi::CallbackInfo& info) {
  const int64_t steps = toInteger(info[0], "steps", 1, 1'000'000'000);
  auto slot = open(kName);
  return session_->call(
      info.Env(),
      [slot, steps] {
        const Stopwatch watch;
        auto result = slot->object->advance(steps);
        return std::pair{std::move(result), watch.milliseconds()};
      },
      [](Napi::Env env, const std::pair<AdvanceResult, double>& done) {
        return fromAdvance(env, done.first, done.second);
      });
}

Napi::Value SamplerObject::logProbs(const Napi::CallbackInfo& info) {
  auto batch = toBatch(info[0], "batch", config_);
  auto slot = open(kName);
  return session_->call(
      info.Env(), [slot, batch = std::move(batch)] { return slot->object->logProbs(batch); }, fromFloats);
}

}  // namespace bt
