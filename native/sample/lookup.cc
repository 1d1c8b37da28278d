#include "sample/lookup.h"

#include <algorithm>

namespace bt {

std::vector<int32_t> lookUp(const std::vector<int32_t>& tokens, int64_t most) {
  constexpr int64_t longest = 3, shortest = 2;
  const auto size = static_cast<int64_t>(tokens.size());
  for (int64_t words = longest; words >= shortest && most > 0; --words) {
    const auto last = tokens.end() - words;
    for (int64_t at = size - words - 1; at >= 0; --at) {
      if (!std::equal(last, tokens.end(), tokens.begin() + at)) continue;
      const int64_t from = at + words;
      return {tokens.begin() + from, tokens.begin() + std::min(from + most, size)};
    }
  }
  return {};
}

}  // namespace bt
