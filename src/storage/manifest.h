#pragma once
// What makes a generation exist: manifest.json, and what it says of the generation's files.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "storage/hash.h"

namespace cairn::storage {

inline constexpr std::uint32_t kStoreVersion = 1;

// One file of a generation, or of an earlier one that it needs.
struct FileSummary {
  std::string path;  // relative to the store's directory: "3/node-0.pack"
  std::uint64_t bytes = 0;
  Hash identity;  // of a pack: checksum of its index when it was written; of a meta file: of all
                  // bytes
};

// What one node wrote, sent to the coordinator for commit().
struct NodeSummary {
  std::uint32_t node = 0;
  FileSummary meta;
  std::vector<FileSummary> packs;  // all that this node's processes need, earlier ones included
  std::uint64_t records = 0;
  std::uint64_t memory_bytes = 0;  // pages that are present, zero pages included
  std::uint64_t new_bytes = 0;     // pages that no earlier generation had, before compression
  std::uint64_t stored_bytes = 0;  // what was written to disk for this generation
};

struct GenerationInfo {
  std::uint64_t number = 0;
  bool damaged = false;  // the manifest cannot be read; `problem` says why, nothing else is set
  std::string problem;
  std::uint64_t incarnation = 0;
  std::string job_id;
  std::int64_t committed_ns = 0;  // CLOCK_REALTIME
  std::vector<NodeSummary> nodes;
  std::vector<std::string> quirks;  // deviations of the writer that a reader must know
  std::string info;                 // the caller's JSON object

  [[nodiscard]] std::uint64_t memory_bytes() const;
  [[nodiscard]] std::uint64_t new_bytes() const;
  [[nodiscard]] std::uint64_t stored_bytes() const;
};

// The manifest's text. It holds a checksum over itself in canonical form, so that no byte of it can
// change unnoticed.
std::string manifest_to_text(const GenerationInfo& info);
Result<GenerationInfo> manifest_from_text(std::string_view text, const std::string& path);

// For the wire between agents.
std::string to_json(const NodeSummary& summary);
Result<NodeSummary> node_summary_from_json(std::string_view text);

}  // namespace cairn::storage
