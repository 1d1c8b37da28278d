// The arithmetic of every kernel, for the GPU and for the CPU: what one lane does of a row, and how lanes' shares are
// put together. The .cu files add which thread does what.
#pragma once
#include "cuda/shared.h"

namespace bt::cuda {

constexpr int kLanes = 32;  // threads of a warp

// V neighbouring elements that are read or written at once.
template <typename T, int V>
struct alignas(sizeof(T) * V) Pack {
  T at[V];
};
template <int V, typename T>
BT_BOTH inline Pack<T, V> load(const T* from) {
  return *reinterpret_cast<const Pack<T, V>*>(from);
}
template <int V, typename T>
BT_BOTH inline void store(T* to, const Pack<T, V>& pack) {
  *reinterpret_cast<Pack<T, V>*>(to) = pack;
}

// ---- RMS norm; a warp a row, see kernels/norm.h

// This lane's share of the sum of squares.
template <int V, typename T>
BT_BOTH inline float squareSum(const T* x, int64_t width, int lane) {
  float sum = 0;
  for (int64_t i = lane * V; i < width; i += kLanes * V) {
    const Pack<T, V> values = load<V>(x + i);
    for (int j = 0; j < V; ++j) sum += wide(values.at[j]) * wide(values.at[j]);
  }
  return sum;
}

BT_BOTH inline float inverseRmsOf(float squares, int64_t width, float eps) {
  return 1.0f / sqrtf(squares / static_cast<float>(width) + eps);
}

template <int V, typename T>
BT_BOTH inline void writeNorm(T* y, const T* x, const T* weight, float inverse, int64_t width, int lane) {
  for (int64_t i = lane * V; i < width; i += kLanes * V) {
    const Pack<T, V> values = load<V>(x + i), scale = load<V>(weight + i);
    Pack<T, V> out;
    for (int j = 0; j < V; ++j) {
      out.at[j] = rounded<T>(wide(rounded<T>(wide(values.at[j]) * inverse)) * wide(scale.at[j]));
    }
    store<V>(y + i, out);
  }
}

// This lane's share of sum(dy weight x).
template <int V, typename T>
BT_BOTH inline float weightedDot(const T* dy, const T* x, const T* weight, int64_t width, int lane) {
  float dot = 0;
  for (int64_t i = lane * V; i < width; i += kLanes * V) {
    const Pack<T, V> grad = load<V>(dy + i), values = load<V>(x + i), scale = load<V>(weight + i);
    for (int j = 0; j < V; ++j) dot += wide(grad.at[j]) * wide(scale.at[j]) * wide(values.at[j]);
  }
  return dot;
}

// dx = the gradient (kAdd: is added to it). dx may be dy itself.
template <int V, bool kAdd, typename T>
BT_BOTH inline void writeNormGradient(T* dx, const T* dy, const T* x, const T* weight, float inverse, float dot,
                                      int64_t width, int lane) {
  const float along = dot * inverse * inverse * inverse / static_cast<float>(width);
  for (int64_t i = lane * V; i < width; i += kLanes * V) {
    const Pack<T, V> grad = load<V>(dy + i), values = load<V>(x + i), scale = load<V>(weight + i);
    Pack<T, V> out;
    if constexpr (kAdd) out = load<V>(dx + i);
    for (int j = 0; j < V; ++j) {
      const float share = wide(grad.at[j]) * wide(scale.at[j]) * inverse - wide(values.at[j]) * along;
      out.at[j] = rounded<T>(kAdd ? wide(out.at[j]) + share : share);
    }
    store<V>(dx + i, out);
  }
}

// ---- SiLU gate; V neighbouring elements of a row, see kernels/gate.h

template <int V, typename T>
BT_BOTH inline void gateForward(T* out, const T* gate, const T* up) {
  const Pack<T, V> gates = load<V>(gate), ups = load<V>(up);
  Pack<T, V> result;
  for (int j = 0; j < V; ++j) {
    const float g = wide(gates.at[j]);
    const float activated = g / (1.0f + expf(-g));
    result.at[j] = rounded<T>(wide(rounded<T>(activated)) * wide(ups.at[j]));
  }
  store<V>(out, result);
}

template <int V, typename T>
BT_BOTH inline void gateBackward(T* gate, T* up, const T* dOut) {
  Pack<T, V> gates = load<V>(gate), ups = load<V>(up);
  const Pack<T, V> grads = load<V>(dOut);
  for (int j = 0; j < V; ++j) {
    const float g = wide(gates.at[j]), u = wide(ups.at[j]), d = wide(grads.at[j]);
    const float sigmoid = 1.0f / (1.0f + expf(-g));
    gates.at[j] = rounded<T>(d * u * sigmoid * (1.0f + g * (1.0f - sigmoid)));
    ups.at[j] = rounded<T>(d * g * sigmoid);
  }
  store<V>(gate, gates);
  store<V>(up, ups);
}

// ---- Heads with rotary embedding, see kernels/heads.h

struct HeadsShape {
  int heads, kvHeads, headDim;

  BT_BOTH int all() const { return heads + 2 * kvHeads; }
  // A token's work comes in pieces of V elements in the first half of a head and V in the second.
  template <int V>
  BT_BOTH int pieces() const {
    return all() * (headDim / 2 / V);
  }
};

template <int V, typename T>
BT_BOTH inline void rotate(T* to, const T* from, const float* cos, const float* sin, int half, float direction) {
  const Pack<T, V> first = load<V>(from), second = load<V>(from + half);
  Pack<T, V> left, right;
  for (int j = 0; j < V; ++j) {
    const float a = wide(first.at[j]), b = wide(second.at[j]), c = cos[j], s = sin[j] * direction;
    left.at[j] = rounded<T>(a * c - b * s);
    right.at[j] = rounded<T>(b * c + a * s);
  }
  store<V>(to, left);
  store<V>(to + half, right);
}

// One piece of one token: from qkv's row to q, k and v, or (kBack) from their gradients to that of the row.
template <int V, bool kBack, typename Row, typename Part>
BT_BOTH inline void moveHeadPiece(const HeadsShape& shape, Row* qkv, const float* cos, const float* sin, Part* q,
                                  Part* k, Part* v, int64_t token, int64_t position, int piece) {
  const int half = shape.headDim / 2, perHead = half / V;
  const int head = piece / perHead, i = piece % perHead * V;
  Row* row = qkv + (token * shape.all() + head) * shape.headDim + i;
  const float *c = cos + position * half + i, *s = sin + position * half + i;
  Part* part;
  if (head < shape.heads) {
    part = q + (token * shape.heads + head) * shape.headDim + i;
  } else if (head < shape.heads + shape.kvHeads) {
    part = k + (token * shape.kvHeads + head - shape.heads) * shape.headDim + i;
  } else {
    part = v + (token * shape.kvHeads + head - shape.heads - shape.kvHeads) * shape.headDim + i;
  }
  const bool rotated = head < shape.heads + shape.kvHeads;
  if constexpr (kBack) {
    if (rotated) {
      rotate<V>(row, part, c, s, half, -1.0f);
    } else {
      store<V>(row, load<V>(part));
      store<V>(row + half, load<V>(part + half));
    }
  } else {
    if (rotated) {
      rotate<V>(part, row, c, s, half, 1.0f);
    } else {
      store<V>(part, load<V>(row));
      store<V>(part + half, load<V>(row + half));
    }
  }
}

// ---- Dropout, see kernels/dropout.cc

struct DropoutCut {
  uint32_t threshold;
  float keep;
};
inline DropoutCut dropoutCut(double p) {
  return {static_cast<uint32_t>(p * 4294967296.0), static_cast<float>(1.0 / (1.0 - p))};
}

// mixKey(seed, Purpose::dropout, step, index) in two parts: what a step has in common, and what is of one mask.
inline uint64_t dropoutStepKey(uint64_t seed, int64_t step) {
  return mix64(mix64(seed ^ static_cast<uint64_t>(Purpose::dropout) << 56) ^ static_cast<uint64_t>(step));
}
BT_BOTH inline uint64_t dropoutKey(uint64_t stepKey, uint64_t index) { return mix64(mix64(stepKey ^ index)); }

BT_BOTH inline uint64_t dropoutTokenKey(uint64_t key, int32_t row, int32_t position) {
  return mix64(mix64(key ^ static_cast<uint32_t>(row)) ^ static_cast<uint32_t>(position));
}

// Features f and f + 1 of a token; f even.
BT_BOTH inline Pack<float, 2> dropoutPair(uint64_t tokenKey, int64_t f, DropoutCut cut) {
  const uint64_t bits = mix64(tokenKey + static_cast<uint64_t>(f));
  return {{static_cast<uint32_t>(bits) < cut.threshold ? 0.0f : cut.keep,
           static_cast<uint32_t>(bits >> 32) < cut.threshold ? 0.0f : cut.keep}};
}

// ---- Cross-entropy; a block of threads a row

// sum exp(x - max) of some x, and their max.
struct LogSum {
  float max, sum;
};
// Of nothing. Lower than any logit, and finite: infinity less infinity would be no number.
BT_BOTH inline LogSum emptyLogSum() { return {-3.4028234663852886e38f, 0.0f}; }

BT_BOTH inline LogSum merged(LogSum a, LogSum b) {
  const float max = fmaxf(a.max, b.max);
  return {max, a.sum * expf(a.max - max) + b.sum * expf(b.max - max)};
}

// This lane's share of a row; `lanes` of them work on it.
template <int V, typename T>
BT_BOTH inline LogSum logSumOf(const T* logits, int64_t vocab, int lane, int lanes) {
  LogSum all = emptyLogSum();
  for (int64_t i = static_cast<int64_t>(lane) * V; i < vocab; i += static_cast<int64_t>(lanes) * V) {
    const Pack<T, V> values = load<V>(logits + i);
    float max = all.max;
    for (int j = 0; j < V; ++j) max = fmaxf(max, wide(values.at[j]));
    all.sum *= expf(all.max - max);
    for (int j = 0; j < V; ++j) all.sum += expf(wide(values.at[j]) - max);
    all.max = max;
  }
  return all;
}

BT_BOTH inline float normalizerOf(LogSum all) { return all.max + logf(all.sum); }

// This lane's share of the gradient, in the place of the logits.
template <int V, typename T>
BT_BOTH inline void writeLogitGradient(T* logits, int64_t vocab, int64_t target, float normalizer, float scale,
                                       int lane, int lanes) {
  for (int64_t i = static_cast<int64_t>(lane) * V; i < vocab; i += static_cast<int64_t>(lanes) * V) {
    Pack<T, V> values = load<V>(logits + i);
    for (int j = 0; j < V; ++j) {
      const float probability = expf(wide(values.at[j]) - normalizer);
      values.at[j] = rounded<T>((i + j == target ? probability - 1.0f : probability) * scale);
    }
    store<V>(logits + i, values);
  }
}

// This lane's share of the sum of all rows' losses.
BT_BOTH inline double lossShare(const float* rowLoss, int64_t rows, int lane, int lanes) {
  double sum = 0;
  for (int64_t r = lane; r < rows; r += lanes) sum += rowLoss[r];
  return sum;
}

}  // namespace bt::cuda
