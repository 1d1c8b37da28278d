// The token ids that a batch's scored positions ask for.
#pragma once
#include <vector>

#include "model/batch.h"

namespace bt {

inline std::vector<int32_t> targetsOf(const PackedBatch& batch) {
  std::vector<int32_t> targets(batch.scored.size());
  for (size_t i = 0; i < targets.size(); ++i) targets[i] = batch.tokens[batch.scored[i]];
  return targets;
}

}  // namespace bt
