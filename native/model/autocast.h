// Autocast for the lifetime of an object, on this thread: what torch.autocast does in Python.
#pragma once
#include <ATen/autocast_mode.h>

namespace bt {

// Does nothing for FP32.
class AutocastGuard {
 public:
  AutocastGuard(at::Device device, at::ScalarType dtype)
      : device_(device.type()),
        wasEnabled_(at::autocast::is_autocast_enabled(device_)),
        wasDtype_(at::autocast::get_autocast_dtype(device_)) {
    at::autocast::set_autocast_enabled(device_, dtype != at::kFloat);
    if (dtype != at::kFloat) at::autocast::set_autocast_dtype(device_, dtype);
    at::autocast::increment_nesting();
  }
  ~AutocastGuard() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device_, wasEnabled_);
    at::autocast::set_autocast_dtype(device_, wasDtype_);
  }
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;

 private:
  at::DeviceType device_;
  bool wasEnabled_;
  at::ScalarType wasDtype_;
};

}  // namespace bt
