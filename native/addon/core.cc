#include "addon/core.h"

#include <ATen/Version.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include "addon/convert.h"
#include "addon/exit.h"
#include "addon/lora.h"
#include "addon/model.h"
#include "addon/processor.h"
#include "addon/runtime.h"
#include "addon/sampler.h"
#include "addon/trainer.h"
#include "model/cuda_devices.h"
#include "model/cuda_library.h"

namespace bt {

namespace {

// CUDA devices that libtorch_cuda can use; 0 where it is not open or has no driver.
int deviceCount() {
  if (!c10::impl::hasDeviceGuardImpl(c10::DeviceType::CUDA)) return 0;
  return c10::impl::getDeviceGuardImpl(c10::DeviceType::CUDA)->deviceCount();
}

// Of the library of kernels; null where there is no device that wants it, or no such file.
Napi::Value cudaKernels(Napi::Env env, int devices) {
  if (devices == 0 || cudaLibrary().path.empty()) return env.Null();
  auto object = Napi::Object::New(env);
  object.Set("path", cudaLibrary().path);
  object.Set("problem", cudaLibrary().problem);
  return object;
}

Napi::Value info(const Napi::CallbackInfo& call) {
  Napi::Env env = call.Env();
  const Processor processor = readProcessor();
  auto object = Napi::Object::New(env);
  object.Set("torch", BT_TORCH_VERSION);
  object.Set("cpuCapability", at::get_cpu_capability());
  object.Set("avx2", processor.avx2);
  object.Set("avx512", processor.avx512);
  object.Set("avx512Bf16", processor.avx512Bf16);
  object.Set("amxBf16", processor.amxBf16);
  const int count = deviceCount();
  object.Set("cudaDevices", count);
  auto list = Napi::Array::New(env);
  for (const auto& device : readCudaDevices(count)) {
    auto entry = Napi::Object::New(env);
    entry.Set("name", device.name);
    entry.Set("totalMemory", static_cast<double>(device.totalMemory));
    entry.Set("capability", device.capability);
    list.Set(list.Length(), entry);
  }
  object.Set("cuda", list);
  object.Set("cudaKernels", cudaKernels(env, count));
  return object;
}

Napi::Value openRuntime(const Napi::CallbackInfo& call) {
  Napi::Env env = call.Env();
  const RuntimeArguments arguments = toRuntime(call[0]);
  c10::Device device(c10::DeviceType::CPU);
  if (arguments.device == c10::DeviceType::CUDA) {
    const int count = deviceCount();
    if (arguments.deviceIndex >= count) {
      throw Error("BT_ARGUMENT", "options.device: CUDA device " + std::to_string(arguments.deviceIndex) +
                                     " was asked for; there are " + std::to_string(count));
    }
    device = c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(arguments.deviceIndex));
  }
  auto session = Session::open(env, device, static_cast<int>(arguments.threads));
  return makeObject(env, std::make_unique<RuntimeObject>(std::move(session)));
}

template <Napi::Value (*Function)(const Napi::CallbackInfo&)>
Napi::Value guarded(const Napi::CallbackInfo& call) {
  try {
    return Function(call);
  } catch (...) {
    throw makeError(call.Env(), currentFailure());
  }
}

Napi::Value init(Napi::Env env, Napi::Object exports) {
  if (auto* present = env.GetInstanceData<Environment>()) return present->exports.Value();
  flushAndLeaveWhileWorking();
  auto* environment = new Environment;
  env.SetInstanceData(environment);
  defineClass<RuntimeObject>(env);
  defineClass<ModelObject>(env);
  defineClass<LoraObject>(env);
  defineClass<TrainerObject>(env);
  defineClass<SamplerObject>(env);
  exports.Set("info", Napi::Function::New<guarded<info>>(env, "info"));
  exports.Set("openRuntime", Napi::Function::New<guarded<openRuntime>>(env, "openRuntime"));
  environment->exports = Napi::Persistent(exports);
  return exports;
}

}  // namespace

}  // namespace bt

napi_value bt_core_init(napi_env env, napi_value exports) {
  return Napi::details::WrapCallback(env, [&]() -> napi_value { return bt::init(env, Napi::Object(env, exports)); });
}
