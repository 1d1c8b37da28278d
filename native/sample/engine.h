// What a sampler computes with: sequences whose keys and values are kept, and passes that take some tokens of many of
// them. There are two: packed_engine.h on CPUs, aten_engine.h everywhere.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "model/batch.h"

namespace bt {

struct CachedSequence {
  std::vector<int32_t> tokens;  // prompt and output so far
  int64_t length = 0;           // of those, how many have keys and values in the cache
  std::vector<int32_t> blocks;  // the engine's: where
  int64_t ready = 0;            // the engine's: of `length`, how many are computed; others will be in the next pass
};

// One sequence's share of a pass: its tokens from `length` on, then proposed ones. Asked for are the logits after the
// last `logits` of them.
struct Share {
  CachedSequence* sequence;
  std::vector<int32_t> proposed;
  int64_t logits = 1;
};

class SamplerEngine {
 public:
  virtual ~SamplerEngine() = default;

  // Longest sequence that it could ever hold.
  virtual int64_t capacity() const = 0;
  // Makes room for a new sequence that grows to `longest` tokens. `length` becomes what it takes over from others that
  // begin alike: at most `mostShared` tokens. False when there is no room at present, or less than for `leave` tokens
  // would be left.
  virtual bool open(CachedSequence& sequence, int64_t longest, int64_t mostShared, int64_t leave) = 0;
  // Gives the room back. Idempotent.
  virtual void close(CachedSequence& sequence) = 0;
  // After an error: nothing is taken over from sequences that are closed.
  virtual void forget() {}

  // Runs the shares' tokens, of sequences that are open; lengths are left as they are. After an error what the cache
  // holds of these sequences is undefined.
  virtual void run(const std::vector<Share>& shares) = 0;
  // Of the last pass, in the order of shares and tokens: `count` rows from `first` on, (count, vocabulary) FP32, valid
  // until the next call.
  virtual float* logits(int64_t first, int64_t count) = 0;

  // [S] log p of each scored token given its row so far, nats. Throws BT_ARGUMENT for a row that finds no room.
  virtual std::vector<float> logProbs(const PackedBatch& batch) = 0;
};

}  // namespace bt
