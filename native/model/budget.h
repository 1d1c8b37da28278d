// Batches brought to a few sizes, so that what is captured for one serves many: tokens that no loss counts are added,
// in rows of their own, which no other row sees.
#pragma once
#include <compare>
#include <cstdint>

#include "model/batch.h"

namespace bt {

// What a captured graph is made for.
struct Budget {
  int64_t tokens = 0, scored = 0;
  int64_t rows = 0, longest = 0;  // at most that many, and of that many tokens

  auto operator<=>(const Budget&) const = default;
};

// The power of two that n reaches up to: numbers of rows and lengths that differ less do not matter to a graph.
int64_t slots(int64_t n);

// The batch with tokens added: scored ones up to a power of two, then others up to one of eight steps to each power of
// two, both at least 64. So there are few sizes, at the price of about a tenth of the tokens where an eighth of them is
// scored (of the scored alone, two fifths: they cost little). What is added stands behind, row ids are -1, and no added
// row is longer than the longest of the batch.
PackedBatch padded(const PackedBatch& batch);

Budget budgetOf(const PackedBatch& batch);

}  // namespace bt
