#include "kernels/linear.h"

#include <algorithm>
#include <type_traits>

#include "kernels/element.h"
#include "kernels/linear_inputs.h"
#include "kernels/linear_kinds.h"
#include "kernels/linear_paths.h"
#include "kernels/parallel.h"

namespace bt {

namespace {

using namespace layout;

// Rows whose sums wait in a thread's scratch, and bytes of a panel that lie in its second-level cache meanwhile.
constexpr int64_t blockRows = 192, chunkBytes = 128 * 1024;
// Rows that a thread must have for rows to be split among threads in place of columns: weights are then read by each.
constexpr int64_t rowsOfThread = 64;
// How far before their use weights are fetched when a single tile reads them.
constexpr int64_t aheadBytes = 2048;

int64_t roundUp(int64_t x, int64_t by) { return (x + by - 1) / by; }

struct Range {
  int64_t begin, end;
};
Range part(int64_t count, int64_t index, int64_t parts) { return {count * index / parts, count * (index + 1) / parts}; }

// ---- Finished sums to outputs

template <typename Y>
BT_INLINE void finishRow(const float* sums, const float* bias, int64_t count, Y* y) {
  if (bias != nullptr) {
    for (int64_t i = 0; i < count; ++i) y[i] = narrowTo<Y>(sums[i] + bias[i]);
  } else {
    for (int64_t i = 0; i < count; ++i) y[i] = narrowTo<Y>(sums[i]);
  }
}

#define BT_FINISH(Y)                                                                                               \
  BT_DISPATCH void finish(const float* sums, int64_t stride, const float* bias, int64_t rows, int64_t count, Y* y, \
                          int64_t out) {                                                                           \
    for (int64_t r = 0; r < rows; ++r) finishRow(sums + r * stride, bias, count, y + r * out);                     \
  }
BT_FINISH(float)
BT_FINISH(Bf16)

// ---- One thread's share

// Sums of a block of rows and up to a panel of columns, aligned to a vector.
float* sumsOfThread() {
  struct alignas(64) Sums {
    float of[blockRows * floatColumns];
  };
  thread_local std::vector<Sums> sums(1);
  return sums[0].of;
}

template <typename Y>
class Share {
 public:
  Share(const PackedWeight& weight, const TileSet& tiles, const uint8_t* x, int64_t xStride, Y* y)
      : weight_(weight), tiles_(tiles), layout_(layoutOf(weight.kind)), x_(x), xStride_(xStride), y_(y) {}

  // Rows and vectors of 16 columns, both counted over the whole product.
  void run(Range rows, Range vectors) const {
    const int64_t ofPanel = layout_.columns / lanes;
    for (int64_t row = rows.begin; row < rows.end; row += blockRows) {
      const int64_t count = std::min(blockRows, rows.end - row);
      for (int64_t v = vectors.begin; v < vectors.end;) {
        const int64_t end = std::min(vectors.end, (v / ofPanel + 1) * ofPanel);
        panel(row, count, v / ofPanel, v % ofPanel, end - v);
        v = end;
      }
    }
  }

 private:
  void panel(int64_t row, int64_t rows, int64_t panel, int64_t vector, int64_t vectors) const {
    const int64_t column = panel * layout_.columns + vector * lanes;
    const int64_t columns = std::min(vectors * lanes, weight_.out - column);
    Y* y = y_ + row * weight_.out + column;
    float* sums = sumsOfThread();
    int64_t stride = floatColumns;
    const float* bias = weight_.bias != nullptr ? weight_.bias + column : nullptr;
    if constexpr (std::is_same_v<Y, float>) {
      if (columns == vectors * lanes) sums = y, stride = weight_.out;
    }
    const int64_t steps = layout_.steps(weight_.in), chunks = roundUp(steps * layout_.bytes, chunkBytes);
    for (int64_t c = 0; c < chunks; ++c) {
      chunk(row, rows, panel * steps, part(steps, c, chunks), vector, vectors, sums, stride);
    }
    if (std::is_same_v<Y, Bf16> || sums != reinterpret_cast<float*>(y) || bias != nullptr) {
      finish(sums, stride, bias, rows, columns, y, weight_.out);
    }
  }

  void chunk(int64_t row, int64_t rows, int64_t firstStep, Range steps, int64_t vector, int64_t vectors, float* sums,
             int64_t sumStride) const {
    const int64_t strips = roundUp(rows, tiles_.rows);
    for (int64_t s = 0; s < strips; ++s) {
      const int64_t first = s * tiles_.rows, count = std::min(tiles_.rows, rows - first);
      for (int64_t v = 0; v < vectors; v += tiles_.vectors) {
        const int64_t wide = std::min(tiles_.vectors, vectors - v);
        Tile tile;
        tile.x = x_ + (row + first) * xStride_ + steps.begin * layout_.inputBytes;
        tile.xStride = xStride_;
        tile.w = weight_.data + (firstStep + steps.begin) * layout_.bytes;
        tile.vector = vector + v;
        tile.steps = steps.end - steps.begin;
        tile.sums = sums + first * sumStride + v * lanes;
        tile.sumStride = sumStride;
        tile.resume = steps.begin > 0;
        // The strips fetch the next chunk together, each some of its vectors.
        const Range mine = part(wide, s, std::min(strips, wide));
        tile.aheadLines = s < wide ? mine.end - mine.begin : 0;
        tile.ahead = tile.w + (strips == 1 ? aheadBytes : tile.steps * layout_.bytes) + mine.begin * 64;
        tiles_.of[(count - 1) * tiles_.vectors + wide - 1](tile);
      }
    }
  }

  const PackedWeight& weight_;
  const TileSet& tiles_;
  const Layout& layout_;
  const uint8_t* x_;
  int64_t xStride_;
  Y* y_;
};

// ---- Splitting

// Calls share(rows, vectors) on each thread: with many rows each has some of them and all columns, else columns are
// split first.
template <typename Work>
void split(int64_t rows, int64_t vectors, int64_t tileRows, Work share) {
  if (omp_in_parallel()) {
    share(Range{0, rows}, Range{0, vectors});
    return;
  }
  const int64_t strips = roundUp(rows, tileRows);
#pragma omp parallel
  {
    const int64_t threads = omp_get_num_threads(), thread = omp_get_thread_num();
    const int64_t columnParts = rows >= rowsOfThread * threads ? 1 : std::min(threads, vectors);
    const int64_t rowParts = std::min(threads / columnParts, strips);
    if (thread < columnParts * rowParts) {
      const Range mine = part(strips, thread / columnParts, rowParts);
      share(Range{mine.begin * tileRows, std::min(rows, mine.end * tileRows)},
            part(vectors, thread % columnParts, columnParts));
    }
  }
}

}  // namespace

template <typename X, typename Y>
void linear(const PackedWeight& weight, const X* x, int64_t rows, Y* y) {
  if (rows == 0) return;
  const TileSet& tiles = tilesOf(weight.kind, weight.path);
  const Inputs inputs = inputsFor(weight.kind, x, rows, weight.in);
  const Share<Y> share(weight, tiles, inputs.data, inputs.stride, y);
  split(rows, roundUp(weight.out, lanes), tiles.rows,
        [&](Range ofRows, Range ofVectors) { share.run(ofRows, ofVectors); });
}

#define BT_INSTANTIATE(X, Y) template void linear<X, Y>(const PackedWeight&, const X*, int64_t, Y*);
BT_INSTANTIATE(float, float)
BT_INSTANTIATE(float, Bf16)
BT_INSTANTIATE(Bf16, float)
BT_INSTANTIATE(Bf16, Bf16)

}  // namespace bt
