#include "sample/choose.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/log_sum_exp.h"
#include "kernels/random.h"

namespace bt {

namespace {

constexpr float kBanned = -std::numeric_limits<float>::infinity();

std::vector<int32_t> different(const int32_t* tokens, size_t count) {
  std::vector<int32_t> list(tokens, tokens + count);
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

// A positive logit is divided, a negative one multiplied.
void penalizeRepeats(float* logits, double penalty, const std::vector<int32_t>& seen) {
  const auto factor = static_cast<float>(penalty);
  for (const int32_t token : different(seen.data(), seen.size())) {
    logits[token] = logits[token] < 0 ? logits[token] * factor : logits[token] / factor;
  }
}

void penalizeCounts(float* logits, const SamplingOptions& options, const int32_t* output, int64_t count) {
  for (int64_t i = 0; i < count; ++i) logits[output[i]] -= static_cast<float>(options.frequencyPenalty);
  for (const int32_t token : different(output, count)) logits[token] -= static_cast<float>(options.presencePenalty);
}

// Bans every token that followed, anywhere in `seen`, the n - 1 tokens that stand at its end.
void banRepeatedNgrams(float* logits, int64_t n, const std::vector<int32_t>& seen) {
  const auto length = static_cast<int64_t>(seen.size()), before = n - 1;
  for (int64_t at = 0; at + before < length; ++at) {
    if (std::equal(seen.begin() + at, seen.begin() + at + before, seen.end() - before)) {
      logits[seen[at + before]] = kBanned;
    }
  }
}

void adjust(float* logits, const SamplingOptions& options, const std::vector<int32_t>& seen, int64_t produced) {
  for (const auto& [token, bias] : options.logitBias) logits[token] += bias;
  if (options.repetitionPenalty != 1) penalizeRepeats(logits, options.repetitionPenalty, seen);
  if (options.frequencyPenalty != 0 || options.presencePenalty != 0) {
    penalizeCounts(logits, options, seen.data() + (static_cast<int64_t>(seen.size()) - produced), produced);
  }
  if (options.noRepeatNgram > 0) banRepeatedNgrams(logits, options.noRepeatNgram, seen);
}

struct Scored {
  int32_t token;
  float logit;  // after penalties and temperature, relative to the highest
};

// Highest first; the lower token first among equals, so that the order is one and the same everywhere.
bool ahead(const Scored& a, const Scored& b) { return a.logit != b.logit ? a.logit > b.logit : a.token < b.token; }

// Tokens that are not banned, the k highest of them and their equals, highest first. `highest` is that of the logits.
std::vector<Scored> highestTokens(const float* logits, int64_t vocab, const SamplingOptions& options, double highest) {
  std::vector<Scored> tokens;
  tokens.reserve(vocab);
  for (int64_t i = 0; i < vocab; ++i) {
    if (logits[i] == kBanned) continue;
    // Bounded: a tiny temperature must not make infinities.
    const double logit = std::max(-1e30, (logits[i] - highest) / options.temperature);
    tokens.push_back({static_cast<int32_t>(i), static_cast<float>(logit)});
  }
  const auto size = static_cast<int64_t>(tokens.size());
  if (options.topK > 0 && options.topK < size) {
    std::nth_element(tokens.begin(), tokens.begin() + (options.topK - 1), tokens.end(), ahead);
    // Ties with the k-th stay, as in transformers.
    const float lowest = tokens[options.topK - 1].logit;
    const auto end = std::partition(tokens.begin() + options.topK, tokens.end(),
                                    [lowest](const Scored& one) { return one.logit >= lowest; });
    tokens.erase(end, tokens.end());
  }
  std::sort(tokens.begin(), tokens.end(), ahead);
  return tokens;
}

void normalize(std::vector<Candidate>& candidates) {
  double sum = 0;
  for (const Candidate& one : candidates) sum += one.probability;
  for (Candidate& one : candidates) one.probability /= sum;
}

// The smallest head of the list whose mass reaches topP.
void keepNucleus(std::vector<Candidate>& candidates, double topP) {
  double mass = 0;
  size_t count = 0;
  while (count < candidates.size() && mass < topP) mass += candidates[count++].probability;
  candidates.resize(std::max<size_t>(count, 1));
  normalize(candidates);
}

void keepAbove(std::vector<Candidate>& candidates, double minP) {
  const double floor = minP * candidates[0].probability;
  size_t count = 1;
  while (count < candidates.size() && candidates[count].probability >= floor) ++count;
  candidates.resize(count);
  normalize(candidates);
}

// Those whose surprise is nearest to the expected one, until their mass reaches typicalP, and their equals.
void keepTypical(std::vector<Candidate>& candidates, double typicalP) {
  double entropy = 0;
  for (const Candidate& one : candidates) {
    if (one.probability > 0) entropy -= one.probability * std::log(one.probability);
  }
  std::vector<double> distance(candidates.size());
  for (size_t i = 0; i < candidates.size(); ++i) {
    distance[i] = std::abs(-std::log(candidates[i].probability) - entropy);
  }
  std::vector<size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return distance[a] < distance[b]; });
  double mass = 0;
  size_t last = 0;
  while (last + 1 < order.size() && (mass += candidates[order[last]].probability) < typicalP) ++last;
  const double farthest = distance[order[last]];
  std::vector<Candidate> kept;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (distance[i] <= farthest) kept.push_back(candidates[i]);
  }
  candidates = std::move(kept);
  normalize(candidates);
}

}  // namespace

bool needsHistory(const SamplingOptions& options) {
  return options.repetitionPenalty != 1 || options.frequencyPenalty != 0 || options.presencePenalty != 0 ||
         options.noRepeatNgram > 0;
}

std::vector<Candidate> candidatesOf(float* logits, int64_t vocab, const SamplingOptions& options,
                                    const std::vector<int32_t>& seen, int64_t produced) {
  adjust(logits, options, seen, produced);
  const auto best = std::max_element(logits, logits + vocab);
  if (*best == kBanned) return {};
  if (options.temperature == 0) return {{static_cast<int32_t>(best - logits), 1}};
  std::vector<Candidate> candidates;
  for (const Scored& one : highestTokens(logits, vocab, options, *best)) {
    candidates.push_back({one.token, std::exp(static_cast<double>(one.logit))});
  }
  normalize(candidates);
  if (options.topP < 1) keepNucleus(candidates, options.topP);
  if (options.minP > 0) keepAbove(candidates, options.minP);
  if (options.typicalP < 1) keepTypical(candidates, options.typicalP);
  return candidates;
}

Choice choose(float* logits, int64_t vocab, const SamplingOptions& options, const std::vector<int32_t>& seen,
              int64_t rowId, int64_t position, std::optional<double> temperature) {
  const double normalizer = logSumExp(logits, vocab);
  if (!std::isfinite(normalizer)) return {-1, 0};
  const bool changes = needsHistory(options) || !options.logitBias.empty();
  const std::vector<float> untouched = changes ? std::vector<float>(logits, logits + vocab) : std::vector<float>();
  const float* original = changes ? untouched.data() : logits;

  std::vector<Candidate> candidates;
  if (temperature && *temperature != options.temperature) {
    SamplingOptions own = options;
    own.temperature = *temperature;
    candidates = candidatesOf(logits, vocab, own, seen, position);
  } else {
    candidates = candidatesOf(logits, vocab, options, seen, position);
  }
  if (candidates.empty()) return {-1, 0};
  double draw = uniformDouble(
      mixKey(options.seed, Purpose::sampling, static_cast<uint64_t>(rowId), static_cast<uint64_t>(position)));
  size_t index = 0;
  while (index + 1 < candidates.size() && draw >= candidates[index].probability)
    draw -= candidates[index++].probability;
  const int32_t token = candidates[index].token;
  return {token, static_cast<float>(original[token] - normalizer)};
}

}  // namespace bt
