#include "model/weight_source.h"

#include "model/error.h"
#include "model/weight_read.h"

namespace bt {

WeightSource::WeightSource(const std::vector<std::string>& files, const std::vector<TensorEntry>& tensors)
    : tensors_(tensors) {
  for (const auto& path : files) files_.push_back(std::make_unique<WeightFile>(path));
  for (const auto& entry : tensors_) {
    if (!entries_.emplace(entry.name, &entry).second) {
      throw Error("BT_ARGUMENT", "tensor " + entry.name + " is listed twice");
    }
  }
}

const TensorEntry& WeightSource::find(const std::string& name, const std::vector<int64_t>& shape) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) throw Error("BT_TENSOR_MISSING", "tensor " + name + " is not in the model's files");
  const TensorEntry& entry = *found->second;
  if (entry.shape != shape) {
    throw Error("BT_TENSOR_SHAPE", "tensor " + name + " has shape " + shapeText(entry.shape) +
                                       "; the configuration asks for " + shapeText(shape));
  }
  if (entry.file < 0 || entry.file >= static_cast<int64_t>(files_.size())) {
    throw Error("BT_TENSOR_OUT_OF_RANGE", "tensor " + name + " names file " + std::to_string(entry.file) + " of " +
                                              std::to_string(files_.size()));
  }
  checkRange(entry, *files_[entry.file]);
  return entry;
}

}  // namespace bt
