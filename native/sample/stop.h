// Whether an output's newest token completes a stop string, told from the bytes that tokens stand for.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace bt {

struct StopTexts {
  std::vector<std::string> texts;   // bytes, none empty
  std::string bytes;                // of all tokens, end to end
  std::vector<int32_t> tokenStart;  // [vocab + 1] places in `bytes`; empty where there are no texts
};

// output: at least one token. A stop string may begin anywhere in the output and end in the middle of its last token.
// Looks at no more tokens than the longest string has bytes, so the answer does not depend on when it was asked before.
bool completesStop(const StopTexts& stops, const std::vector<int32_t>& output);

}  // namespace bt
