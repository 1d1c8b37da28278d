#include "sample/choose.h"

#include <algorithm>
#include <cmath>

#include "kernels/random.h"

namespace bt {

namespace {

double logSumExp(const float* logits, int64_t count) {
  const float highest = *std::max_element(logits, logits + count);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += std::exp(static_cast<double>(logits[i] - highest));
  return highest + std::log(sum);
}

// Keskar et al. 2019, as transformers does it: a positive logit is divided, a negative one multiplied.
void penalizeRepeats(float* logits, int64_t vocab, double penalty, const std::vector<int32_t>& seen) {
  std::vector<bool> done(vocab, false);
  for (const int32_t token : seen) {
    if (done[token]) continue;
    done[token] = true;
    const auto factor = static_cast<float>(penalty);
    logits[token] = logits[token] < 0 ? logits[token] * factor : logits[token] / factor;
  }
}

struct Candidate {
  int32_t token;
  float logit;  // after penalties and temperature
};

// Highest first; the lower token first among equals, so that the order is one and the same everywhere.
bool ahead(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

// Candidates that may be drawn, highest first, with probabilities that sum to one.
std::vector<Candidate> truncate(const float* logits, int64_t vocab, const SamplingOptions& options,
                                std::vector<double>& probabilities) {
  std::vector<Candidate> candidates(vocab);
  // Relative to the highest, and bounded: a tiny temperature must not make infinities.
  const double highest = *std::max_element(logits, logits + vocab);
  for (int64_t i = 0; i < vocab; ++i) {
    candidates[i] = {static_cast<int32_t>(i),
                     static_cast<float>(std::max(-1e30, (logits[i] - highest) / options.temperature))};
  }
  const int64_t keep = options.topK > 0 ? std::min(options.topK, vocab) : vocab;
  if (keep < vocab) {
    std::nth_element(candidates.begin(), candidates.begin() + (keep - 1), candidates.end(), ahead);
    // Ties with the k-th stay, as in transformers.
    const float lowest = candidates[keep - 1].logit;
    const auto end = std::partition(candidates.begin() + keep, candidates.end(),
                                    [lowest](const Candidate& c) { return c.logit >= lowest; });
    candidates.erase(end, candidates.end());
  }
  std::sort(candidates.begin(), candidates.end(), ahead);

  probabilities.resize(candidates.size());
  const auto normalize = [&] {
    double sum = 0;
    for (size_t i = 0; i < candidates.size(); ++i) {
      probabilities[i] = std::exp(static_cast<double>(candidates[i].logit - candidates[0].logit));
      sum += probabilities[i];
    }
    for (double& p : probabilities) p /= sum;
  };
  const auto shorten = [&](size_t count) {
    if (count == candidates.size()) return;
    candidates.resize(count);
    probabilities.resize(count);
    normalize();
  };
  normalize();
  if (options.topP < 1) {
    // The smallest head of the list whose mass reaches topP.
    double mass = 0;
    size_t count = 0;
    while (count < candidates.size() && mass < options.topP) mass += probabilities[count++];
    shorten(std::max<size_t>(count, 1));
  }
  if (options.minP > 0) {
    const double floor = options.minP * probabilities[0];
    size_t count = 1;
    while (count < candidates.size() && probabilities[count] >= floor) ++count;
    shorten(count);
  }
  return candidates;
}

}  // namespace

Choice choose(float* logits, int64_t vocab, const SamplingOptions& options, const std::vector<int32_t>& seen,
              int64_t rowId, int64_t position) {
  const double normalizer = logSumExp(logits, vocab);
  if (!std::isfinite(normalizer)) return {-1, 0};
  const std::vector<float> untouched =
      options.repetitionPenalty != 1 ? std::vector<float>(logits, logits + vocab) : std::vector<float>();
  const float* original = untouched.empty() ? logits : untouched.data();
  if (options.repetitionPenalty != 1) penalizeRepeats(logits, vocab, options.repetitionPenalty, seen);

  int32_t token = 0;
  if (options.temperature == 0) {
    token = static_cast<int32_t>(std::max_element(logits, logits + vocab) - logits);
  } else {
    std::vector<double> probabilities;
    const std::vector<Candidate> candidates = truncate(logits, vocab, options, probabilities);
    double draw = uniformDouble(
        mixKey(options.seed, Purpose::sampling, static_cast<uint64_t>(rowId), static_cast<uint64_t>(position)));
    size_t index = 0;
    while (index + 1 < candidates.size() && draw >= probabilities[index]) draw -= probabilities[index++];
    token = candidates[index].token;
  }
  return {token, static_cast<float>(original[token] - normalizer)};
}

}  // namespace bt
