#include "kernels/dropout.h"

#include "kernels/random.h"

namespace bt {

void dropoutMask(float* mask, int64_t tokens, int64_t width, const int32_t* rowOf, const int32_t* positionOf,
                 uint64_t key, double p) {
  // Two features share one 64-bit draw, 32 bits each.
  const auto threshold = static_cast<uint32_t>(p * 4294967296.0);
  const float keep = static_cast<float>(1.0 / (1.0 - p));
#pragma omp parallel for schedule(static)
  for (int64_t t = 0; t < tokens; ++t) {
    const uint64_t tokenKey =
        mix64(mix64(key ^ static_cast<uint32_t>(rowOf[t])) ^ static_cast<uint32_t>(positionOf[t]));
    float* out = mask + t * width;
    for (int64_t f = 0; f < width; f += 2) {
      const uint64_t bits = mix64(tokenKey + static_cast<uint64_t>(f));
      out[f] = static_cast<uint32_t>(bits) < threshold ? 0.0f : keep;
      if (f + 1 < width) out[f + 1] = static_cast<uint32_t>(bits >> 32) < threshold ? 0.0f : keep;
    }
  }
}

}  // namespace bt
