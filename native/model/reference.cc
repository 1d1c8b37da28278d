#include "model/reference.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>

#include "kernels/dropout.h"
#include "model/abort.h"
#include "model/autocast.h"
#include "model/decoder.h"
#include "model/places.h"

namespace bt {

namespace {

at::Tensor toTensor(const std::vector<int32_t>& values, at::Device device) {
  return at::from_blob(const_cast<int32_t*>(values.data()), {static_cast<int64_t>(values.size())}, at::kInt)
      .to(device, at::kLong, /*non_blocking=*/false, /*copy=*/true);
}

MaskFor dropoutMasks(const ModelConfig& config, const DropoutKey& key, const Places& places, int64_t layer,
                     at::Device device) {
  if (key.p == 0) return {};
  return [&config, key, &places, layer, device](Target target) {
    const auto tokens = static_cast<int64_t>(places.row.size());
    const int64_t width = targetIn(config, target);
    at::Tensor mask = at::empty({tokens, width}, at::kFloat);
    dropoutMask(mask.data_ptr<float>(), tokens, width, places.row.data(), places.position.data(),
                dropoutStream(key, dropoutIndex(layer, target)), key.p);
    return mask.to(device);
  };
}

}  // namespace

at::Tensor referenceForward(Model& model, const Lora* lora, const PackedBatch& batch, const DropoutKey& dropout,
                            const LayerVisitor& visit) {
  const ModelConfig& config = model.config();
  batch.validate(config);
  model.load();
  const AutocastGuard autocast(model.device(), model.dtype());
  const Places places(batch);
  const at::Tensor positions = toTensor(places.position, model.device());
  const auto [cosTable, sinTable] = model.rotary(places.longest);
  const at::Tensor cos = cosTable.index_select(0, positions).unsqueeze(1);
  const at::Tensor sin = sinTable.index_select(0, positions).unsqueeze(1);

  at::Tensor x = at::embedding(model.embedding, toTensor(batch.tokens, model.device()));
  if (visit) visit(-1, x);
  for (int64_t l = 0; l < config.layers; ++l) {
    checkAbort();
    if (x.requires_grad()) {  // backward looks at the flag between layers too
      x.register_hook([flag = currentAbortFlag()](const at::Tensor&) { checkAbort(flag); });
    }
    const DecoderLayer& layer = model.layers[l];
    const LayerLora adapter{lora, l, dropoutMasks(config, dropout, places, l, model.device())};
    const Heads heads = project(config, layer, adapter, rmsNorm(x, layer.inputNorm, config.rmsNormEps), cos, sin);
    std::vector<at::Tensor> attended;
    for (size_t row = 0; row < batch.rows.size(); ++row) {
      const int64_t begin = batch.cuSeqlens[row], count = batch.cuSeqlens[row + 1] - begin;
      attended.push_back(attend(config, heads.q.narrow(0, begin, count), heads.k.narrow(0, begin, count),
                                heads.v.narrow(0, begin, count)));
    }
    x = x + attentionOut(layer, adapter, attended.size() == 1 ? attended[0] : at::cat(attended, 0));
    x = x + feedForward(layer, adapter, rmsNorm(x, layer.postNorm, config.rmsNormEps));
    if (visit) visit(l, x);
  }

  return rmsNorm(x.index_select(0, toTensor(predictingTokens(batch), model.device())), model.finalNorm,
                 config.rmsNormEps);
}

}  // namespace bt
