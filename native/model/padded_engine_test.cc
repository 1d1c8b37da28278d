// What PaddedEngine runs at once, captures and replays, batch by batch: with an engine and graphs that only note what
// is asked of them. Usage: padded_engine_test     Links libtorch_cpu.so. Prints what is wrong, then "padded engine: N
// wrong".
#include <ATen/ops/zeros.h>

#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "model/budget.h"
#include "model/engine.h"

namespace bt {

namespace {

std::string notes;  // a letter for each thing that was asked for
int wrong = 0;

// P prepare, F forward, B backward; as a GPU's engine would, it has memory that moves when a larger batch comes.
class Noted : public StagedEngine {
 public:
  void prepare(const PackedBatch& batch, const DropoutKey&, bool) override {
    notes += 'P';
    rows_ = static_cast<int64_t>(batch.scored.size());
    if (batch.tokenCount() > most_) {
      most_ = batch.tokenCount();
      ++moved_;
    }
  }
  at::Tensor run() override {
    notes += 'F';
    return at::zeros({rows_, 2});
  }
  void backward(const at::Tensor& gradient) override { notes += gradient.size(0) == rows_ ? 'B' : '!'; }
  int64_t generation() const override { return moved_; }

 private:
  int64_t rows_ = 0, most_ = 0, moved_ = 0;
};

// Graphs of each pool. As libtorch does it, a pool is given up with its last graph and takes no other.
std::map<uint64_t, int> users;
std::set<uint64_t> givenUp;

int pool(BtCudaPool* pool) {
  static uint64_t pools = 0;
  pool->first = ++pools;
  return 0;
}

// < and > around what is captured, R replay, x destroyed.
int begin(void*) {
  notes += '<';
  return 0;
}
int end(void*) {
  notes += '>';
  return 0;
}
int replay(void*) {
  notes += 'R';
  return 0;
}
void destroy(void* graph) {
  notes += 'x';
  const std::unique_ptr<uint64_t> pool(static_cast<uint64_t*>(graph));
  if (--users[*pool] == 0) givenUp.insert(*pool);
}
int create(int, const BtCudaPool* pool, void** graph) {
  if (givenUp.contains(pool->first)) notes += '!';
  ++users[pool->first];
  *graph = new uint64_t(pool->first);
  return 0;
}

PackedBatch batchOf(int32_t tokens) {
  PackedBatch batch;
  batch.tokens.assign(static_cast<size_t>(tokens), 1);
  batch.cuSeqlens = {0, tokens};
  batch.scored = {tokens - 2, tokens - 1};
  batch.rows = {0};
  return batch;
}

void expect(const char* what, Engine& engine, int32_t tokens, const std::string& expected) {
  notes.clear();
  const at::Tensor hidden = engine.forward(batchOf(tokens), {}, /*keep=*/true);
  if (hidden.size(0) != 2) notes += '?';
  engine.backward(hidden);
  if (notes == expected) return;
  std::printf("%s: %s, not %s\n", what, notes.c_str(), expected.c_str());
  ++wrong;
}

void expectBudgets() {
  for (int32_t tokens : {3, 4, 63, 100, 511, 512, 513, 5000}) {
    const PackedBatch batch = batchOf(tokens), more = padded(batch);
    ModelConfig config;
    config.vocabSize = 2;
    more.validate(config);
    const int64_t total = more.tokenCount(), least = tokens + 62 + (62 + tokens - 2) / (tokens - 1);
    if (total % 64 == 0 && more.scored.size() == 64 && total <= std::max<int64_t>(least + 64, least * 9 / 8 + 1))
      continue;
    std::printf("%d tokens become %ld with %zu scored\n", tokens, total, more.scored.size());
    ++wrong;
  }
  for (int32_t tokens : {200, 300, 800, 1200, 2000, 5000}) {
    for (int32_t share : {1, 2, 8}) {
      PackedBatch batch = batchOf(tokens);
      batch.scored.clear();
      for (int32_t t = tokens - tokens / share + 1; t < tokens; ++t) batch.scored.push_back(t);
      const PackedBatch more = padded(batch);
      const auto scored = static_cast<int64_t>(batch.scored.size());
      const bool few = more.tokenCount() <= (tokens + scored) * 9 / 8 + 200;
      if (few && static_cast<int64_t>(more.scored.size()) == slots(std::max<int64_t>(scored, 64))) continue;
      std::printf("%d tokens, %zu scored become %ld with %zu\n", tokens, batch.scored.size(), more.tokenCount(),
                  more.scored.size());
      ++wrong;
    }
  }
}

}  // namespace

}  // namespace bt

int main() {
  using namespace bt;
  ModelConfig config;
  config.vocabSize = 2;
  BtCudaFunctions cuda{};
  cuda.graphPool = pool;
  cuda.graphCreate = create;
  cuda.graphBegin = begin;
  cuda.graphEnd = end;
  cuda.graphReplay = replay;
  cuda.graphDestroy = destroy;
  const auto engine = makePaddedEngine(config, std::make_unique<Noted>(), &cuda);
  expect("the first of a size runs at once", *engine, 500, "PFB");
  expect("the second is captured, then replayed", *engine, 499, "P<F>R<B>R");
  expect("later ones are replayed", *engine, 501, "PRR");
  expect("a smaller size is one of its own", *engine, 200, "PFB");
  expect("and is captured, too", *engine, 200, "P<F>R<B>R");
  expect("the first one's graphs are still good", *engine, 500, "PRR");

  notes.clear();
  engine->forward(batchOf(500), {}, /*keep=*/true);  // aborted before its backward
  expect("a forward without backward does no harm", *engine, 500, "PRR");
  engine->forward(batchOf(90), {}, /*keep=*/false);
  expect("nor does a validation", *engine, 500, "PRR");

  expect("a larger size moves the memory", *engine, 2000, "PFB");
  expect("graphs of before are void", *engine, 500, "PxxFB");
  expect("of every size", *engine, 200, "PxxFB");
  expect("and are captured again, in a pool of their own", *engine, 500, "P<F>R<B>R");

  engine->forward(batchOf(2000), {}, /*keep=*/true);  // captured, and aborted before its backward
  expect("half a capture is begun again", *engine, 2000, "Px<F>R<B>R");
  expectBudgets();
  std::printf("padded engine: %d wrong\n", wrong);
  return wrong > 0;
}
