// Core of binding.d.ts: what the loader calls once it has opened this library.
#pragma once
#include <node_api.h>

// Fills `exports` with info() and openRuntime(); in an environment that has them already, returns the first ones.
extern "C" __attribute__((visibility("default"))) napi_value bt_core_init(napi_env env, napi_value exports);
