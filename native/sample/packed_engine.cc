#include "sample/packed_engine.h"

#include <algorithm>
#include <cstring>

#include "kernels/gate.h"
#include "kernels/heads.h"
#include "kernels/parallel.h"
#include "kernels/residual_norm.h"
#include "model/abort.h"
#include "sample/scoring.h"

namespace bt {

namespace {

template <typename T>
std::vector<T> narrowed(const std::vector<float>& values) {
  std::vector<T> result;
  for (const float value : values) result.push_back(narrowTo<T>(value));
  return result;
}

// Rows between two attentions that a thread takes at a time: their activations stay in its second-level cache, and
// their weights in the third. With fewer than the least for each thread, threads share the columns of each product.
constexpr int64_t leastChunk = 48, mostChunk = 96;
// Rows that are computed at once where one thread computes them, or few are there.
constexpr int64_t mostAtOnce = 96;

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
  float* x = nullptr;     // (rows, hidden)
  T* qkv = nullptr;       // (rows, q + 2 kv)
  T* queries = nullptr;   // (rows, q)
  T* attended = nullptr;  // (rows, q)
  T* hidden = nullptr;    // (rows asked for, hidden), what the head multiplies
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
bool PackedEngine<T>::open(CachedSequence& sequence, int64_t longest, int64_t mostShared, int64_t leave) {
  // Of a sequence that is to be computed in the next pass whole blocks can be shared: they are filled before they are
  // read, layer by layer. Of what is computed already the beginning of one more block is copied.
  const CachedSequence* donor = nullptr;
  int64_t shared = 0;
  const auto consider = [&](const CachedSequence& other) {
    const int64_t common = commonLength(sequence.tokens, other.tokens, mostShared);
    const int64_t use = std::max(std::min(common, other.ready), common / cacheBlock * cacheBlock);
    if (use > shared) {
      shared = use;
      donor = &other;
    }
  };
  for (const CachedSequence* other : open_) consider(*other);
  if (!last_.blocks.empty()) consider(last_);
  const int64_t whole = shared / cacheBlock, needed = blocksFor(longest) - whole;
  // References first: the donor may be the one that has to make room.
  const int64_t ready = donor != nullptr ? std::min(shared, donor->ready) : 0;
  std::vector<int32_t> blocks;
  for (int64_t i = 0; i < whole; ++i) blocks.push_back(donor->blocks[i]);
  for (const int32_t block : blocks) pool_.share(block);
  if (pool_.free() < needed + blocksFor(leave) && !last_.blocks.empty()) {
    if (donor == &last_) shared = whole * cacheBlock;
    forget();
  }
  if (pool_.free() < needed + blocksFor(leave)) {
    for (const int32_t block : blocks) pool_.release(block);
    return false;
  }
  for (int64_t i = 0; i < needed; ++i) blocks.push_back(pool_.take());
  if (shared % cacheBlock != 0) pool_.copy(donor->blocks[whole], blocks[whole]);
  sequence.blocks = std::move(blocks);
  sequence.length = shared;
  sequence.ready = std::min(shared, ready);
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
                              Y* y, Scratch& scratch) {
  linear(matrix.weight(), x, rows, y);
  for (const ApartPair& pair : pairs) {
    const int64_t rank = pair.a->weight().out, count = pair.b->weight().out;
    float* inner = scratch.adapter.get(rows * (rank + count));
    linear(pair.a->weight(), x, rows, inner);
    linear(pair.b->weight(), inner, rows, inner + rows * rank);
    addColumns(y, inner + rows * rank, rows, matrix.weight().out, pair.from, count);
  }
}

template <typename T>
template <typename Work>
void PackedEngine<T>::eachChunk(int64_t rows, Work work) {
  const int64_t threads = std::max(omp_get_max_threads(), 1);
  scratch_.resize(static_cast<size_t>(std::max<int64_t>(threads, static_cast<int64_t>(scratch_.size()))));
  if (rows < threads * leastChunk || threads == 1) {
    for (int64_t begin = 0; begin < rows; begin += mostAtOnce)
      work(begin, std::min(begin + mostAtOnce, rows), scratch_[0]);
    return;
  }
  const int64_t chunks = threads * ((rows + threads * mostChunk - 1) / (threads * mostChunk));
  parallelTasks(chunks, [&](int64_t i) {
    work(rows * i / chunks, rows * (i + 1) / chunks, scratch_[static_cast<size_t>(omp_get_thread_num())]);
  });
}

// From the residual stream, with what the layer before still adds to it, to queries, keys and values.
template <typename T>
void PackedEngine<T>::projectRows(int64_t index, Pass& pass, int64_t begin, int64_t end, const float* delta,
                                  Scratch& scratch) {
  const GenerationLayer& weights = weights_.layers[index];
  const int64_t hidden = config_.hiddenSize, rows = end - begin, width = config_.qSize() + 2 * config_.kvSize();
  const auto eps = static_cast<float>(config_.rmsNormEps);
  T* normed = scratch.normed.get(rows * hidden);
  residualNorm(pass.x + begin * hidden, delta, weights.inputNorm.data(), normed, rows, hidden, eps);
  T* qkv = pass.qkv + begin * width;
  if (!config_.qkNorm) return product(*weights.qkv, weights.qkvPairs, normed, rows, qkv, scratch);
  T* plain = scratch.qkv.get(rows * width);
  product(*weights.qkv, weights.qkvPairs, normed, rows, plain, scratch);
  const int32_t ends[2] = {0, static_cast<int32_t>(rows)};
  const AttentionShape heads{config_.heads, config_.kvHeads, config_.headDim, 0, ends, 1};
  headNormForward(heads, qkv, scratch.inverse.get(rows * (config_.heads + config_.kvHeads)), plain,
                  qNorms_[index].data(), kNorms_[index].data(), eps);
}

// From a layer's attention to the next one's queries, keys and values, or to what the head multiplies.
template <typename T>
void PackedEngine<T>::feedRows(int64_t index, Pass& pass, int64_t begin, int64_t end, Scratch& scratch) {
  const GenerationLayer& weights = weights_.layers[index];
  const int64_t hidden = config_.hiddenSize, inner = config_.intermediateSize, rows = end - begin;
  const auto eps = static_cast<float>(config_.rmsNormEps);
  float *x = pass.x + begin * hidden, *delta = scratch.delta.get(rows * hidden);
  product(*weights.out, weights.outPairs, pass.attended + begin * config_.qSize(), rows, delta, scratch);
  T *normed = scratch.normed.get(rows * hidden), *gateUp = scratch.gateUp.get(rows * 2 * inner);
  residualNorm(x, delta, weights.postNorm.data(), normed, rows, hidden, eps);
  product(*weights.gateUp, weights.gateUpPairs, normed, rows, gateUp, scratch);
  T* inside = scratch.inside.get(rows * inner);
  siluGateForward(inside, gateUp, rows, inner);
  product(*weights.down, weights.downPairs, inside, rows, delta, scratch);
  if (index + 1 < config_.layers) return projectRows(index + 1, pass, begin, end, delta, scratch);
  residualNorm(x, delta, weights_.finalNorm.data(), pass.hidden + begin * hidden, rows, hidden, eps);
}

template <typename T>
void PackedEngine<T>::attend(int64_t index, Pass& pass) {
  const bool last = index + 1 == config_.layers;
  if (last) {
    for (size_t i = 0; i < pass.spans.size(); ++i) pass.spans[i].asked = pass.firstAsked[i];
  }
  T* cache = reinterpret_cast<T*>(pool_.memory()) + index * shape_.blockElements();
  fillCache(shape_, pass.spans, pass.qkv, pass.cos, pass.sin, pass.queries, cache);
  cachedAttention(shape_, pass.spans, pass.queries, cache, pass.attended);
  if (last) keepAsked(pass);
}

// What follows the last attention is computed for the rows that are asked for: they move to the front.
template <typename T>
void PackedEngine<T>::keepAsked(Pass& pass) {
  const int64_t hidden = config_.hiddenSize, q = config_.qSize();
  for (size_t i = 0; i < pass.asked.size(); ++i) {
    const auto to = static_cast<int64_t>(i), from = pass.asked[i];
    if (to == from) continue;
    std::copy_n(pass.x + from * hidden, hidden, pass.x + to * hidden);
    std::copy_n(pass.attended + from * q, q, pass.attended + to * q);
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
  pass.qkv = qkv_.get(pass.rows * (config_.qSize() + 2 * config_.kvSize()));
  pass.queries = q_.get(pass.rows * config_.qSize());
  pass.attended = attended_.get(pass.rows * config_.qSize());
  asked_ = static_cast<int64_t>(pass.asked.size());
  pass.hidden = hidden_.get(asked_ * config_.hiddenSize);
  embed(tokens, pass.x);
  eachChunk(pass.rows,
            [&](int64_t begin, int64_t end, Scratch& scratch) { projectRows(0, pass, begin, end, nullptr, scratch); });
  for (int64_t l = 0; l < config_.layers; ++l) {
    checkAbort();
    attend(l, pass);
    eachChunk(pass.rows, [&](int64_t begin, int64_t end, Scratch& scratch) { feedRows(l, pass, begin, end, scratch); });
  }
  for (const Share& share : shares) share.sequence->ready = static_cast<int64_t>(share.sequence->tokens.size());
}

template <typename T>
float* PackedEngine<T>::logits(int64_t first, int64_t count) {
  float* values = logits_.get(count * config_.vocabSize);
  linear(weights_.head->weight(), hidden_.get(asked_ * config_.hiddenSize) + first * config_.hiddenSize, count, values);
  return values;
}

template <typename T>
std::vector<float> PackedEngine<T>::logProbs(const PackedBatch& batch) {
  return scoreByPasses(*this, config_, batch);
}

template class PackedEngine<float>;
template class PackedEngine<Bf16>;

}  // namespace bt
