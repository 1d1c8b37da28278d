// Dropout masks that depend on (key, row, position in row, feature) alone.
#pragma once
#include <cstdint>

namespace bt {

// mask[t][f] = 0 with probability p, else 1 / (1 - p).   mask: (tokens, width) f32
// rowOf, positionOf: (tokens), the row id and the position in its row of each token.
// key: from mixKey(seed, Purpose::dropout, step, layer and target).
void dropoutMask(float* mask, int64_t tokens, int64_t width, const int32_t* rowOf, const int32_t* positionOf,
                 uint64_t key, double p);

}  // namespace bt
