#pragma once
// The names in a store's directory.

#include <cstdint>
#include <string>

namespace cairn::storage {

inline const std::string kManifestName = "manifest.json";

inline std::string generation_path(const std::string& store, std::uint64_t number) {
  return store + "/" + std::to_string(number);
}

// Where a generation is written until it is renamed. The incarnation is in the name, so that a new
// owner takes away what an earlier one is writing, with one rename.
inline std::string work_path(const std::string& store, std::uint64_t number,
                             std::uint64_t incarnation) {
  return generation_path(store, number) + ".tmp-" + std::to_string(incarnation);
}

inline std::string meta_name(std::uint32_t node) {
  return "node-" + std::to_string(node) + ".meta";
}
inline std::string pack_name(std::uint32_t node) {
  return "node-" + std::to_string(node) + ".pack";
}

}  // namespace cairn::storage
