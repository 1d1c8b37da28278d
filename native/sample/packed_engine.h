// Generation on a CPU: packed weights, keys and values in blocks, and loops of which none gives a row other bits for
// what stands beside it. Tokens that sequences begin with in common are computed once.
#pragma once
#include <memory>
#include <vector>

#include "kernels/cached_attention.h"
#include "model/lora.h"
#include "model/model.h"
#include "sample/block_pool.h"
#include "sample/engine.h"
#include "sample/weights.h"

namespace bt {

struct PackedEngineOptions {
  WeightOptions weights;
  int64_t cacheBytes = 0;  // at most so much for keys and values
};

// T: what rows are multiplied in, and how keys and values are kept: float, or Bf16 for a model that is.
template <typename T>
class PackedEngine : public SamplerEngine {
 public:
  PackedEngine(std::shared_ptr<Model> model, const Lora* lora, const PackedEngineOptions& options);

  // Bytes of a block of keys and values of all layers.
  static int64_t blockBytes(const ModelConfig& config);

  int64_t capacity() const override { return pool_.blocks() * cacheBlock; }
  bool open(CachedSequence& sequence, int64_t longest, int64_t mostShared, int64_t leave) override;
  void close(CachedSequence& sequence) override;
  void forget() override;
  void run(const std::vector<Share>& shares) override;
  float* logits(int64_t first, int64_t count) override;
  std::vector<float> logProbs(const PackedBatch& batch) override;

 private:
  // A buffer that grows and keeps its memory.
  template <typename E>
  class Buffer {
   public:
    E* get(int64_t count) {
      if (count > size_) {
        memory_.reset();
        size_ = 0;  // should there be no memory
        memory_.reset(static_cast<E*>(::operator new(static_cast<size_t>(count) * sizeof(E), std::align_val_t{64})));
        size_ = count;
      }
      return memory_.get();
    }

   private:
    struct Free {
      void operator()(E* memory) const { ::operator delete(memory, std::align_val_t{64}); }
    };
    std::unique_ptr<E, Free> memory_;
    int64_t size_ = 0;
  };
  struct Pass;
  // What one thread needs for some rows between two attentions.
  struct Scratch {
    Buffer<float> delta, adapter, inverse;
    Buffer<T> normed, qkv, gateUp, inside;
  };

  void embed(const std::vector<int32_t>& tokens, float* x);
  // Calls work(begin, end, scratch) for all rows: in chunks on all threads, or all at once where they are few, for the
  // products to share out.
  template <typename Work>
  void eachChunk(int64_t rows, Work work);
  void projectRows(int64_t layer, Pass& pass, int64_t begin, int64_t end, const float* delta, Scratch& scratch);
  void feedRows(int64_t layer, Pass& pass, int64_t begin, int64_t end, Scratch& scratch);
  void attend(int64_t layer, Pass& pass);
  void keepAsked(Pass& pass);
  template <typename Y>
  void product(const PackedMatrix& matrix, const std::vector<ApartPair>& pairs, const T* x, int64_t rows, Y* y,
               Scratch& scratch);

  std::shared_ptr<Model> model_;
  const ModelConfig& config_;
  GenerationWeights weights_;
  std::vector<std::vector<T>> qNorms_, kNorms_;
  BlockPool pool_;
  CacheShape shape_;
  std::vector<CachedSequence*> open_;
  CachedSequence last_;  // the last one that was closed: what comes next may begin like it

  Buffer<float> x_, logits_;
  Buffer<T> qkv_, q_, attended_, hidden_;
  std::vector<Scratch> scratch_;  // of each thread
  int64_t asked_ = 0;             // rows of the last pass
};

}  // namespace bt
