// The inputs of a product as its weights want them.
#pragma once
#include "kernels/element.h"
#include "kernels/linear.h"

namespace bt {

// Rows in the type and the steps that a kind of weights is multiplied with, inputs past the last one 0.
struct Inputs {
  const uint8_t* data;
  int64_t stride;  // bytes from a row to the next
};

// x: (rows, in). The result is x itself where nothing is to be done, else memory of the calling thread that the next
// call takes again. OpenMP over rows.
template <typename X>
Inputs inputsFor(WeightKind kind, const X* x, int64_t rows, int64_t in);

}  // namespace bt
