#include "sample/packed_engine.h"

#include <algorithm>
#include <cstring>

#include "kernels/gate.h"
#include "kernels/heads.h"
#include "kernels/parallel.h"
#include "kernels/residual_norm.h"
#include "model/abort.h"

namespace bt {

namespace {

template <typename T>
std::vector<T> narrowed(const std::vector<float>& values) {
  std::vector<T> result;
  for (const float value : values) result.push_back(narrowTo<T>(value));
  return result;
}

int64_t blocksFor(int64_t tokens) { return (tokens + cacheBlock - 1) / cacheBlock; }

int64_t commonLength(const std::vector<int32_t>& a, const std::vector<int32_t>& b, int64_t most) {
  const auto count = std::min({static_cast<int64_t>(a.size()), static_cast<int64_t>(b.size()), most});
  return std::mismatch(a.begin(), a.begin() + count, b.begin()).first - a.begin();
}

}  // namespace

// One pass on its way through the layers.
template <typename T>
struct PackedEngine<T>::Pass {
  std::vector<CacheSpan> spans;
  int64_t rows = 0;
  std::vector<int64_t> asked;       // rows whose logits are wanted
  std::vector<int64_t> firstAsked;  // of each span, the first such token
  const float *cos = nullptr, *sin = nullptr;
  float* x = nullptr;            // (rows, hidden)
  const float* delta = nullptr;  // (rows, hidden), still to be added to x
};

template <typename T>
int64_t PackedEngine<T>::blockBytes(const ModelConfig& config) {
  const CacheShape shape{config.heads, config.kvHeads, config.headDim, 0, 0};
  return config.layers * shape.blockElements() * static_cast<int64_t>(sizeof(T));
}

template <typename T>
PackedEngine<T>::PackedEngine(std::shared_ptr<Model> model, const Lora* lora, const PackedEngineOptions& options)
    : model_(std::move(model)),
      config_(model_->config()),
      weights_(*model_, lora, options.weights),
      pool_(options.cacheBytes / blockBytes(config_), blockBytes(config_)),
      shape_{config_.heads, config_.kvHeads, config_.headDim, config_.slidingWindow,
             blockBytes(config_) / static_cast<int64_t>(sizeof(T))} {
  for (const GenerationLayer& layer : weights_.layers) {
    qNorms_.push_back(narrowed<T>(layer.qNorm));
    kNorms_.push_back(narrowed<T>(layer.kNorm));
  }
}

// ---- Sequences

template <typename T>
bool PackedEngine<T>::open(CachedSequence& sequence, int64_t longest, int64_t mostShared) {
  // Of a sequence that is to be computed in the next pass whole blocks can be shared: they are filled before they are
  // read, layer by layer. Of what is computed already the beginning of one more block is copied.
  const CachedSequence* donor = nullptr;
  int64_t shared = 0;
  const auto consider = [&](const CachedSequence& other) {
    const int64_t common = commonLength(sequence.tokens, other.tokens, mostShared);
    const int64_t use = std::max(std::min(common, other.length), common / cacheBlock * cacheBlock);
    if (use > shared) {
      shared = use;
      donor = &other;
    }
  };
  for (const CachedSequence* other : open_) consider(*other);
  if (!last_.blocks.empty()) consider(last_);
  const int64_t whole = shared / cacheBlock, needed = blocksFor(longest) - whole;
  // References first: the donor may be the one that has to make room.
  std::vector<int32_t> blocks;
  for (int64_t i = 0; i < whole; ++i) blocks.push_back(donor->blocks[i]);
  for (const int32_t block : blocks) pool_.share(block);
  if (pool_.free() < needed && !last_.blocks.empty()) {
    if (donor == &last_) shared = whole * cacheBlock;
    forget();
  }
  if (pool_.free() < needed) {
    for (const int32_t block : blocks) pool_.release(block);
    return false;
  }
  for (int64_t i = 0; i < needed; ++i) blocks.push_back(pool_.take());
  if (shared % cacheBlock != 0) pool_.copy(donor->blocks[whole], blocks[whole]);
  sequence.blocks = std::move(blocks);
  sequence.length = shared;
  open_.push_back(&sequence);
  return true;
}

template <typename T>
void PackedEngine<T>::close(CachedSequence& sequence) {
  if (sequence.blocks.empty()) return;
  open_.erase(std::find(open_.begin(), open_.end(), &sequence));
  for (const int32_t block : last_.blocks) pool_.release(block);
  last_ = std::move(sequence);
  sequence = {};
  // Only what is computed can be taken over from it.
  last_.tokens.resize(static_cast<size_t>(last_.length));
  const int64_t held = blocksFor(last_.length);
  while (static_cast<int64_t>(last_.blocks.size()) > held) {
    pool_.release(last_.blocks.back());
    last_.blocks.pop_back();
  }
}

template <typename T>
void PackedEngine<T>::forget() {
  for (const int32_t block : last_.blocks) pool_.release(block);
  last_ = {};
}

// ---- Passes

template <typename T>
void PackedEngine<T>::embed(const std::vector<int32_t>& tokens, float* x) {
  const PackedWeight& embedding = weights_.embedding->weight();
  parallelRows(static_cast<int64_t>(tokens.size()), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) unpackRow(embedding, tokens[i], x + i * config_.hiddenSize);
  });
}

// y = x w^T + b, and what an adapter that is kept apart adds.
template <typename T>
template <typename Y>
void PackedEngine<T>::product(const PackedMatrix& matrix, const std::vector<ApartPair>& pairs, const T* x, int64_t rows,
                              Y* y) {
  linear(matrix.weight(), x, rows, y);
  for (const ApartPair& pair : pairs) {
    const int64_t rank = pair.a->weight().out, count = pair.b->weight().out;
    float* inner = wide_.get(rows * (rank + count));
    linear(pair.a->weight(), x, rows, inner);
    linear(pair.b->weight(), inner, rows, inner + rows * rank);
    addColumns(y, inner + rows * rank, rows, matrix.weight().out, pair.from, count);
  }
}

template <typename T>
void PackedEngine<T>::layer(int64_t index, Pass& pass) {
  const GenerationLayer& weights = weights_.layers[index];
  const int64_t hidden = config_.hiddenSize, inner = config_.intermediateSize, q = config_.qSize();
  const int64_t qkvWidth = q + 2 * config_.kvSize();
  const auto eps = static_cast<float>(config_.rmsNormEps);
  T* normed = normed_.get(pass.rows * hidden);
  residualNorm(pass.x, pass.delta, weights.inputNorm.data(), normed, pass.rows, hidden, eps);
  T* qkv = qkv_.get(pass.rows * qkvWidth);
  product(*weights.qkv, weights.qkvPairs, normed, pass.rows, qkv);
  if (config_.qkNorm) {
    const int32_t ends[2] = {0, static_cast<int32_t>(pass.rows)};
    const AttentionShape heads{config_.heads, config_.kvHeads, config_.headDim, 0, ends, 1};
    T* there = qkvNormed_.get(pass.rows * qkvWidth);
    headNormForward(heads, there, inverse_.get(pass.rows * (config_.heads + config_.kvHeads)), qkv,
                    qNorms_[index].data(), kNorms_[index].data(), eps);
    qkv = there;
  }
  const bool last = index + 1 == config_.layers;
  if (last) {
    for (size_t i = 0; i < pass.spans.size(); ++i) pass.spans[i].asked = pass.firstAsked[i];
  }
  T *queries = q_.get(pass.rows * q), *attended = attended_.get(pass.rows * q);
  T* cache = reinterpret_cast<T*>(pool_.memory()) + index * shape_.blockElements();
  fillCache(shape_, pass.spans, qkv, pass.cos, pass.sin, queries, cache);
  cachedAttention(shape_, pass.spans, queries, cache, attended);
  if (last) keepAsked(pass);

  float* delta = delta_.get(pass.rows * hidden);
  product(*weights.out, weights.outPairs, attended, pass.rows, delta);
  residualNorm(pass.x, delta, weights.postNorm.data(), normed, pass.rows, hidden, eps);
  T *gateUp = gateUp_.get(pass.rows * 2 * inner), *inside = inside_.get(pass.rows * inner);
  product(*weights.gateUp, weights.gateUpPairs, normed, pass.rows, gateUp);
  siluGateForward(inside, gateUp, pass.rows, inner);
  product(*weights.down, weights.downPairs, inside, pass.rows, delta);
  pass.delta = delta;
}

// What follows the last attention is computed for the rows that are asked for: they move to the front.
template <typename T>
void PackedEngine<T>::keepAsked(Pass& pass) {
  const int64_t hidden = config_.hiddenSize, q = config_.qSize();
  T* attended = attended_.get(pass.rows * q);
  for (size_t i = 0; i < pass.asked.size(); ++i) {
    const auto to = static_cast<int64_t>(i), from = pass.asked[i];
    if (to == from) continue;
    std::copy_n(pass.x + from * hidden, hidden, pass.x + to * hidden);
    std::copy_n(attended + from * q, q, attended + to * q);
  }
  pass.rows = static_cast<int64_t>(pass.asked.size());
}

template <typename T>
void PackedEngine<T>::run(const std::vector<Share>& shares) {
  Pass pass;
  std::vector<int32_t> tokens;
  int64_t longest = 0;
  for (const Share& share : shares) {
    const CachedSequence& sequence = *share.sequence;
    const auto row = static_cast<int64_t>(tokens.size());
    tokens.insert(tokens.end(), sequence.tokens.begin() + sequence.length, sequence.tokens.end());
    tokens.insert(tokens.end(), share.proposed.begin(), share.proposed.end());
    const int64_t count = static_cast<int64_t>(tokens.size()) - row;
    pass.spans.push_back({sequence.blocks.data(), sequence.length, count, row});
    pass.firstAsked.push_back(count - share.logits);
    for (int64_t i = count - share.logits; i < count; ++i) pass.asked.push_back(row + i);
    longest = std::max(longest, sequence.length + count);
  }
  const auto [cos, sin] = model_->rotary(longest);
  pass.cos = cos.template const_data_ptr<float>();
  pass.sin = sin.template const_data_ptr<float>();
  pass.rows = static_cast<int64_t>(tokens.size());
  pass.x = x_.get(pass.rows * config_.hiddenSize);
  embed(tokens, pass.x);
  for (int64_t l = 0; l < config_.layers; ++l) {
    checkAbort();
    layer(l, pass);
  }
  asked_ = pass.rows;
  residualNorm(pass.x, pass.delta, weights_.finalNorm.data(), normed_.get(asked_ * config_.hiddenSize), asked_,
               config_.hiddenSize, static_cast<float>(config_.rmsNormEps));
}

template <typename T>
float* PackedEngine<T>::logits(int64_t first, int64_t count) {
  float* values = logits_.get(count * config_.vocabSize);
  linear(weights_.head->weight(), normed_.get(asked_ * config_.hiddenSize) + first * config_.hiddenSize, count, values);
  return values;
}

template class PackedEngine<float>;
template class PackedEngine<Bf16>;

}  // namespace bt
