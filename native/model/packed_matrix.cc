#include "model/packed_matrix.h"

namespace bt {

PackedMatrix::PackedMatrix(WeightKind kind, int64_t out, int64_t in, WeightMemory& memory)
    : memory_(memory.take({packedBytes(kind, out, in)}, at::kByte)),
      weight_{kind, out, in, memory_.mutable_data_ptr<uint8_t>()} {}

void PackedMatrix::setBias(std::vector<float> bias) {
  bias_ = std::move(bias);
  weight_.bias = bias_.data();
}

std::shared_ptr<const PackedMatrix> PackedMatrices::get(const std::string& name, WeightKind kind,
                                                        const std::function<std::shared_ptr<PackedMatrix>()>& make) {
  std::weak_ptr<const PackedMatrix>& there = shared_[{name, kind}];
  if (auto matrix = there.lock()) return matrix;
  std::shared_ptr<const PackedMatrix> made = make();
  there = made;
  return made;
}

int64_t PackedMatrices::bytes() const {
  int64_t total = 0;
  for (const auto& [key, weak] : shared_) {
    if (const auto matrix = weak.lock()) total += matrix->bytes();
  }
  for (const auto& weak : own_) {
    if (const auto matrix = weak.lock()) total += matrix->bytes();
  }
  return total;
}

}  // namespace bt
