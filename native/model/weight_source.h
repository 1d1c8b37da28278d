// The files that a model's weights lie in, and where each lies. Knows nothing of how weights are held.
#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/config.h"
#include "model/weight_file.h"

namespace bt {

class WeightSource {
 public:
  // Opens the files. Throws BT_IO; BT_ARGUMENT for a tensor that is listed twice.
  WeightSource(const std::vector<std::string>& files, const std::vector<TensorEntry>& tensors);

  // The table's entry of this name, checked against the wanted shape and against its file.
  // Throws BT_TENSOR_MISSING, BT_TENSOR_SHAPE, BT_TENSOR_OUT_OF_RANGE.
  const TensorEntry& find(const std::string& name, const std::vector<int64_t>& shape) const;
  const WeightFile& file(const TensorEntry& entry) const { return *files_[entry.file]; }

 private:
  std::vector<std::unique_ptr<WeightFile>> files_;
  std::vector<TensorEntry> tensors_;
  std::unordered_map<std::string, const TensorEntry*> entries_;
};

}  // namespace bt
