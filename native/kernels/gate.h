// The gated activation of the feed-forward part, silu(gate) * up, and its backward, one pass each.
#pragma once
#include <cstdint>

#include "kernels/element.h"

namespace bt {

// out = silu(gate) * up.   gateUp: (rows, 2 inner), gate left of up   out: (rows, inner)
template <typename T>
void siluGateForward(T* out, const T* gateUp, int64_t rows, int64_t inner);
template <typename T>
void siluGateForwardNaive(T* out, const T* gateUp, int64_t rows, int64_t inner);

// gateUp becomes its own gradient, given dOut (rows, inner). In place: the activations are not needed afterwards.
template <typename T>
void siluGateBackward(T* gateUp, const T* dOut, int64_t rows, int64_t inner);
template <typename T>
void siluGateBackwardNaive(T* gateUp, const T* dOut, int64_t rows, int64_t inner);

}  // namespace bt
