// The decoder's shape. Families (Llama, Mistral, Qwen2, Qwen3) differ by the flags alone. Mirrors ModelConfig of
// binding.d.ts; no reading of files here.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace bt {

struct RopeScaling {
  enum class Type { none, linear, llama3 };
  Type type = Type::none;
  double factor = 1;
  double lowFreqFactor = 1, highFreqFactor = 4;  // llama3
  int64_t originalMaxPositions = 8192;           // llama3
};

struct ModelConfig {
  std::string family;
  int64_t vocabSize = 0, hiddenSize = 0, intermediateSize = 0;
  int64_t layers = 0, heads = 0, kvHeads = 0, headDim = 0;
  double rmsNormEps = 1e-5, ropeTheta = 10000;
  RopeScaling ropeScaling;
  bool qkvBias = false, outBias = false, mlpBias = false;
  bool qkNorm = false;
  bool tieWordEmbeddings = false;
  int64_t slidingWindow = 0;  // tokens; 0: full attention
  int64_t maxPositions = 0;

  int64_t qSize() const { return heads * headDim; }
  int64_t kvSize() const { return kvHeads * headDim; }
};

// One stored weight: where its bytes lie and what they mean. Mirrors TensorEntry of binding.d.ts.
struct TensorEntry {
  std::string name, type;
  std::vector<int64_t> shape;
  int64_t file = 0, offset = 0, byteLength = 0;
  int64_t interleavedHeads = 0;  // > 0: rows are in interleaved rotary order in that many heads
};

}  // namespace bt
