// Cross-entropy of rows of logits against their targets, which turns the logits into their own gradient: two passes
// over a row that is in the cache.
#pragma once
#include <cstdint>

#include "kernels/element.h"

namespace bt {

// losses[r] = log sum exp(logits[r]) - logits[r][targets[r]], nats, FP64. With gradScale != 0 the logits become
// gradScale (softmax - one-hot), rounded to T; otherwise they stay.
// logits: (rows, vocab)   targets: (rows), in [0, vocab)   losses: (rows)
template <typename T>
void crossEntropy(T* logits, const int32_t* targets, double* losses, int64_t rows, int64_t vocab, float gradScale);
template <typename T>
void crossEntropyNaive(T* logits, const int32_t* targets, double* losses, int64_t rows, int64_t vocab, float gradScale);

}  // namespace bt
