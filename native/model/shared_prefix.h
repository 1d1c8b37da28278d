// Rows of one task begin alike: with the tokens of the prompt that stand before what is each row's own. They are
// computed once, in the first row, and attended to by all: the same losses and gradients for fewer tokens.
#pragma once
#include <cstdint>

#include "model/batch.h"

namespace bt {

// Tokens that all rows begin with and that predict nothing scored; 0 where that saves nothing.
int64_t sharedPrefix(const PackedBatch& batch);

// The batch without those tokens in every row but the first.
PackedBatch withoutRepeats(const PackedBatch& batch, int64_t prefix);

}  // namespace bt
