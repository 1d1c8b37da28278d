// Attention of one new token each of many sequences, together: a few large products in place of some small ones a
// sequence, which is what a GPU waits for. Exact, in FP32 between its inputs and outputs, on any device.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace bt {

// What one pass's layers have in common.
class SlotAttention {
 public:
  // Sequence i's keys and values are the first known[i] of slot slots[i], those of its new token among them.
  // window: keys this many or more positions back are not seen; 0: no limit.
  SlotAttention(const std::vector<int64_t>& slots, const std::vector<int64_t>& known, int64_t window,
                at::Device device);

  // q: [n, heads, headDim]   keys, values: [all slots, kvHeads, room, headDim], without a NaN in a slot's values
  // Returns [n, heads headDim] in q's dtype.
  at::Tensor operator()(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values) const;

 private:
  int64_t span_, longest_;  // slots up to the last of them; keys of the longest
  at::Tensor slots_;        // [n]
  at::Tensor hidden_;       // [span, 1, longest] bool: what is not seen
};

}  // namespace bt
