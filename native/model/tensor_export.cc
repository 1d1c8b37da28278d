#include "model/tensor_export.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "kernels/dequant.h"
#include "kernels/parallel.h"
#include "kernels/quantize.h"
#include "model/abort.h"
#include "model/error.h"
#include "model/weight_file.h"
#include "model/weight_read.h"

namespace bt {

namespace {

at::Tensor wrap(const std::vector<float>& values, int64_t rows, int64_t columns) {
  return at::from_blob(const_cast<float*>(values.data()), {rows, columns}, at::kFloat);
}

// weight: (out, in) += scale * b (out, r) a (r, in)
void addUpdate(at::Tensor& weight, const TensorEntry& entry, const LowRankUpdate& update) {
  const bool matrix = weight.dim() == 2;
  const int64_t out = matrix ? weight.size(0) : 0, in = matrix ? weight.size(1) : 0, r = update.r;
  if (!matrix || static_cast<int64_t>(update.a.size()) != r * in || static_cast<int64_t>(update.b.size()) != out * r) {
    throw Error("BT_TENSOR_SHAPE", "tensor " + entry.name + ": " + std::to_string(update.a.size()) + " and " +
                                       std::to_string(update.b.size()) + " numbers of A and B at rank " +
                                       std::to_string(r) + " do not fit " + shapeText(entry.shape));
  }
  weight.addmm_(wrap(update.b, out, r), wrap(update.a, r, in), 1, update.scale);
}

// (head, {even, odd}, pair, ...) -> (head, pair, {even, odd}, ...): the reverse of what WeightReader does.
at::Tensor interleaved(const at::Tensor& weight, const TensorEntry& entry, int64_t heads) {
  const int64_t rows = weight.size(0);
  if (rows % (2 * heads) != 0) {
    throw Error("BT_TENSOR_SHAPE", "tensor " + entry.name + ": " + std::to_string(rows) + " rows do not divide into " +
                                       std::to_string(heads) + " rotary heads");
  }
  return weight.reshape({heads, 2, rows / heads / 2, -1}).transpose(1, 2).contiguous();
}

// Throws BT_TENSOR_RANGE when a value is not finite or above `limit` in magnitude.
void checkValues(const float* values, int64_t count, float limit, const TensorExport& request) {
  std::atomic<float> worst{0};
  parallelRows(count, [&](int64_t begin, int64_t end) {
    bool bad = false;
    for (int64_t i = begin; i < end; ++i) bad |= !(std::fabs(values[i]) <= limit);
    if (!bad) return;
    const float* found = std::find_if(values + begin, values + end, [&](float x) { return !(std::fabs(x) <= limit); });
    worst = *found;
  });
  if (worst == 0) return;
  throw Error("BT_TENSOR_RANGE", "tensor " + request.tensor.name + " holds " + std::to_string(worst) + ", which " +
                                     request.type + " cannot hold");
}

// The largest magnitude that rounds to a finite value.
float limitOf(const std::string& type) {
  if (type == "F16") return std::nextafter(65520.0f, 0.0f);
  if (type == "BF16") return std::nextafter(0x1.ffp127f, 0.0f);
  return isBlockType(type) ? quantizeLimit(type) : std::numeric_limits<float>::max();
}

std::vector<uint8_t> rounded(const at::Tensor& weight, const TensorExport& request) {
  const std::string& type = request.type;
  const int64_t elements = weight.numel();
  const auto* values = weight.data_ptr<float>();
  checkValues(values, elements, limitOf(type), request);
  const at::ScalarType plain = plainType(type);
  if (plain != at::ScalarType::Undefined) {
    std::vector<uint8_t> bytes(static_cast<size_t>(elements) * c10::elementSize(plain));
    at::from_blob(bytes.data(), {elements}, plain).copy_(weight.view({elements}));
    return bytes;
  }
  if (request.tensor.shape.back() % blockElements(type) != 0) {
    throw Error("BT_TENSOR_SHAPE", "tensor " + request.tensor.name + ": rows of " +
                                       std::to_string(request.tensor.shape.back()) + " do not divide into " + type +
                                       " blocks");
  }
  std::vector<uint8_t> bytes(static_cast<size_t>(elements / blockElements(type) * blockBytes(type)));
  quantize(type, values, bytes.data(), elements);
  return bytes;
}

}  // namespace

std::vector<uint8_t> exportTensor(const TensorExport& request) {
  checkAbort();
  const at::NoGradGuard noGrad;
  const WeightFile file(request.path);
  checkRange(request.tensor, file);
  at::Tensor weight = at::empty(request.tensor.shape, at::kFloat);
  WeightReader().read(file, request.tensor, weight);
  if (request.update) addUpdate(weight, request.tensor, *request.update);
  if (request.interleavedHeads > 0) weight = interleaved(weight, request.tensor, request.interleavedHeads);
  return rounded(weight, request);
}

}  // namespace bt
