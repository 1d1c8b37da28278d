// Which tiles of linear_tile.h a processor runs.
#pragma once
#include <string_view>

#include "kernels/linear.h"
#include "kernels/linear_tile.h"

namespace bt {

// The tiles of one of linearPaths(kind), the first when `path` is empty. Throws std::invalid_argument for a path that
// this processor does not have.
const TileSet& tilesOf(WeightKind kind, std::string_view path);

}  // namespace bt
