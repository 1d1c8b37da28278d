#include "sample/slot_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bt {

namespace {

constexpr int64_t kMostValues = int64_t{64} << 20;  // of keys in FP32 at a time: 256 MB

}  // namespace

SlotAttention::SlotAttention(const std::vector<int64_t>& slots, const std::vector<int64_t>& known, int64_t window,
                             at::Device device)
    : span_(*std::max_element(slots.begin(), slots.end()) + 1),
      longest_(*std::max_element(known.begin(), known.end())) {
  std::vector<int64_t> ofSlot(span_, 0);
  for (size_t i = 0; i < slots.size(); ++i) ofSlot[slots[i]] = known[i];
  const auto there = [device](const std::vector<int64_t>& values) {
    return at::from_blob(const_cast<int64_t*>(values.data()), {static_cast<int64_t>(values.size())}, at::kLong)
        .to(device, at::kLong, /*non_blocking=*/false, /*copy=*/true);
  };
  slots_ = there(slots);
  const at::Tensor end = there(ofSlot).view({span_, 1, 1});
  const at::Tensor key = at::arange(longest_, end.options());
  hidden_ = key >= end;
  if (window > 0) hidden_.logical_or_(key < end - window);
}

at::Tensor SlotAttention::operator()(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values) const {
  const int64_t heads = q.size(1), kvHeads = keys.size(1), room = keys.size(2), d = keys.size(3);
  const double scale = 1 / std::sqrt(static_cast<double>(d));
  // By slot; what is not of a sequence is computed and left.
  const auto options = q.options().dtype(at::kFloat);
  at::Tensor queries = at::zeros({span_, heads, d}, options).index_copy_(0, slots_, q.to(at::kFloat));
  const at::Tensor out = at::zeros({span_, heads * d}, options);
  const int64_t step = std::max<int64_t>(1, kMostValues / (kvHeads * longest_ * d));
  for (int64_t first = 0; first < span_; first += step) {
    const int64_t count = std::min(step, span_ - first);
    const auto some = [&](const at::Tensor& cache) {
      return cache.narrow(0, first, count).view({count * kvHeads, room, d}).narrow(1, 0, longest_).to(at::kFloat);
    };
    // Queries that share a key-value head below one another.
    const at::Tensor grouped = queries.narrow(0, first, count).view({count * kvHeads, heads / kvHeads, d});
    at::Tensor scores = at::bmm(grouped, some(keys).transpose(1, 2)).mul_(scale);
    scores.view({count, heads, longest_})
        .masked_fill_(hidden_.narrow(0, first, count), -std::numeric_limits<double>::infinity());
    out.narrow(0, first, count).copy_(at::bmm(scores.softmax(-1), some(values)).view({count, heads * d}));
  }
  return out.index_select(0, slots_).to(q.scalar_type());
}

}  // namespace bt
