// A model's weights as generation on a CPU multiplies them: read from the model's files, with an adapter added where
// one is merged, and packed, weight by weight.
#pragma once
#include <array>
#include <memory>
#include <vector>

#include "model/lora.h"
#include "model/model.h"
#include "model/packed_matrix.h"

namespace bt {

struct WeightOptions {
  WeightKind kind = WeightKind::fp32;
  bool keepAdapter = false;  // multiplied beside the base rather than added to it
};

// scale B A of one target, apart from its base.
struct ApartPair {
  std::shared_ptr<const PackedMatrix> a, b;  // b with the scale in it
  int64_t from = 0;                          // first output that it adds to
};

struct GenerationLayer {
  std::vector<float> inputNorm, postNorm;  // [hidden]
  std::vector<float> qNorm, kNorm;         // [headDim], or empty
  std::shared_ptr<const PackedMatrix> qkv, out, gateUp, down;
  std::vector<ApartPair> qkvPairs, outPairs, gateUpPairs, downPairs;
};

class GenerationWeights {
 public:
  // lora may be null; its matrices are taken as they are now. In FP32 the update is added to the weight as it lies in
  // its file, and the sum is rounded once. Q8_0 and Q4_0 blocks become int8 and int4 as they are where nothing is
  // added. Embedding and head are at least int8. Throws as Model::load(); BT_TENSOR_RANGE for what `kind` cannot hold;
  // BT_OUT_OF_MEMORY. Worker thread only.
  GenerationWeights(Model& model, const Lora* lora, const WeightOptions& options);

  std::vector<GenerationLayer> layers;
  std::vector<float> finalNorm;                         // [hidden]
  std::shared_ptr<const PackedMatrix> embedding, head;  // the same where they are tied
};

}  // namespace bt
