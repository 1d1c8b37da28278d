#include "sample/stop.h"

#include <algorithm>

namespace bt {

bool completesStop(const StopTexts& stops, const std::vector<int32_t>& output) {
  if (stops.texts.empty()) return false;
  size_t longest = 0;
  for (const std::string& text : stops.texts) longest = std::max(longest, text.size());
  const auto bytesOf = [&](int32_t token) {
    if (static_cast<size_t>(token) + 1 >= stops.tokenStart.size()) return std::string();
    const int32_t start = stops.tokenStart[token];
    return stops.bytes.substr(start, stops.tokenStart[token + 1] - start);
  };
  std::string tail = bytesOf(output.back());
  const size_t fresh = tail.size();
  if (fresh == 0) return false;
  for (size_t at = output.size() - 1; at > 0 && tail.size() < fresh + longest - 1; --at) {
    tail = bytesOf(output[at - 1]) + tail;
  }
  const size_t before = tail.size() - fresh;
  return std::any_of(stops.texts.begin(), stops.texts.end(), [&](const std::string& text) {
    // One that ended before the newest token would have ended the row there.
    const size_t from = before >= text.size() - 1 ? before - (text.size() - 1) : 0;
    return tail.find(text, from) != std::string::npos;
  });
}

}  // namespace bt
