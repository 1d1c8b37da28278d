#include "addon/runtime.h"

#include "addon/convert.h"
#include "addon/measure.h"
#include "addon/model.h"

namespace bt {

std::vector<napi_property_descriptor> RuntimeObject::methods() {
  return {property("loadModel", asyncMethod<RuntimeObject, &RuntimeObject::loadModel>),
          property("exportTensor", asyncMethod<RuntimeObject, &RuntimeObject::exportTensor>),
          property("memory", asyncMethod<RuntimeObject, &RuntimeObject::memory>),
          property("measureGemm", asyncMethod<RuntimeObject, &RuntimeObject::measureGemm>),
          property("measureBandwidth", asyncMethod<RuntimeObject, &RuntimeObject::measureBandwidth>),
          property("abort", syncMethod<RuntimeObject, &RuntimeObject::abort>),
          property("close", asyncMethod<RuntimeObject, &RuntimeObject::close>)};
}

Session& RuntimeObject::open() const {
  if (session_->closing()) throw Error("BT_CLOSED", "Runtime: it is closed");
  return *session_;
}

Napi::Value RuntimeObject::loadModel(const Napi::CallbackInfo& info) {
  auto arguments = std::make_shared<LoadArguments>(toLoad(info[0]));
  Session& session = open();
  return session.call(
      info.Env(),
      [&session, arguments] {
        auto model = std::make_shared<Model>(arguments->config, arguments->files, arguments->tensors, arguments->dtype,
                                             session.device(), arguments->lazy);
        session.track(model);
        return std::pair{session.keep(model), model->weightBytes()};
      },
      [shared = session_, arguments](Napi::Env env, const std::pair<std::shared_ptr<Slot<Model>>, int64_t>& loaded) {
        return makeObject(env, std::make_unique<ModelObject>(env, shared, loaded.first, arguments->config,
                                                             arguments->dtype, loaded.second));
      });
}

Napi::Value RuntimeObject::exportTensor(const Napi::CallbackInfo& info) {
  auto request = std::make_shared<TensorExport>(toExport(info[0]));
  return open().call(info.Env(), [request] { return bt::exportTensor(*request); }, fromBytes);
}

Napi::Value RuntimeObject::memory(const Napi::CallbackInfo& info) {
  Session& session = open();
  return session.call(
      info.Env(), [&session] { return readMemory(session.device(), session.weightBytes()); },
      [](Napi::Env env, const MemoryInfo& memory) {
        auto object = Napi::Object::New(env);
        object.Set("resident", static_cast<double>(memory.resident));
        object.Set("peakResident", static_cast<double>(memory.peakResident));
        object.Set("weights", static_cast<double>(memory.weights));
        object.Set("deviceAllocated", static_cast<double>(memory.deviceAllocated));
        object.Set("devicePeak", static_cast<double>(memory.devicePeak));
        return object;
      });
}

Napi::Value RuntimeObject::measureGemm(const Napi::CallbackInfo& info) {
  const c10::ScalarType dtype = toDtype(info[0], "dtype");
  Session& session = open();
  return session.call(
      info.Env(), [&session, dtype] { return teraflops(session.device(), dtype); },
      [](Napi::Env env, double value) { return Napi::Number::New(env, value); });
}

Napi::Value RuntimeObject::measureBandwidth(const Napi::CallbackInfo& info) {
  return open().call(info.Env(), readBandwidth,
                     [](Napi::Env env, double value) { return Napi::Number::New(env, value); });
}

Napi::Value RuntimeObject::abort(const Napi::CallbackInfo& info) {
  session_->abort();
  return info.Env().Undefined();
}

Napi::Value RuntimeObject::close(const Napi::CallbackInfo& info) { return session_->close(info.Env()); }

}  // namespace bt
