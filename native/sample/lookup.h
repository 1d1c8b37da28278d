// Prompt lookup decoding: what a text may go on with, by what followed when its last words stood in it before. An
// instruction takes over words of the response that it is written for.
#pragma once
#include <cstdint>
#include <vector>

namespace bt {

// Up to `most` tokens that followed the latest earlier place of the last three tokens, or else of the last two; none
// where there is no such place.
std::vector<int32_t> lookUp(const std::vector<int32_t>& tokens, int64_t most);

}  // namespace bt
