#include "kernels/linear_paths.h"

#include <stdexcept>
#include <string>

namespace bt {

namespace {

struct Path {
  WeightKind kind;
  std::string_view name;
  bool available;
  TileSet tiles;
};

// The fastest of a kind first. One path serves every number of rows: with another the sums would have another order.
std::vector<Path> makePaths() {
  using enum WeightKind;
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  const bool products = v4 && __builtin_cpu_supports("avx512bf16");
  const bool vnni = v4 && __builtin_cpu_supports("avx512vnni");
  return {
      {fp32, "avx512", v4, avx512::fp32Tiles()},
      {fp32, "avx2", v3, avx2::fp32Tiles()},
      {fp32, "baseline", true, baseline::fp32Tiles()},
      {bf16, "avx512bf16", products, avx512::bf16ProductTiles()},
      {bf16, "avx512", v4, avx512::bf16Tiles()},
      {bf16, "avx2", v3, avx2::bf16Tiles()},
      {bf16, "baseline", true, baseline::bf16Tiles()},
      {int8, "avx512vnni", vnni, avx512vnni::int8Tiles()},
      {int8, "avx2", v3, avx2::int8Tiles()},
      {int8, "baseline", true, baseline::int8Tiles()},
      {int4, "avx512vnni", vnni, avx512vnni::int4Tiles()},
      {int4, "avx2", v3, avx2::int4Tiles()},
      {int4, "baseline", true, baseline::int4Tiles()},
  };
}

const std::vector<Path>& paths() {
  static const std::vector<Path> all = makePaths();
  return all;
}

std::vector<std::string_view> namesOf(WeightKind kind) {
  std::vector<std::string_view> names;
  for (const Path& path : paths()) {
    if (path.kind == kind && path.available) names.push_back(path.name);
  }
  return names;
}

}  // namespace

const std::vector<std::string_view>& linearPaths(WeightKind kind) {
  static const std::vector<std::string_view> names[] = {namesOf(WeightKind::fp32), namesOf(WeightKind::bf16),
                                                        namesOf(WeightKind::int8), namesOf(WeightKind::int4)};
  return names[static_cast<int>(kind)];
}

const TileSet& tilesOf(WeightKind kind, std::string_view name) {
  for (const Path& path : paths()) {
    if (path.kind == kind && path.available && (name.empty() || path.name == name)) return path.tiles;
  }
  throw std::invalid_argument("this processor has no products \"" + std::string(name) + "\" for these weights");
}

}  // namespace bt
