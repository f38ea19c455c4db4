#pragma once
// Writes one pack: chunks of pages as they come, tree nodes and the index at the end.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "storage/codec.h"
#include "storage/format.h"
#include "storage/manifest.h"
#include "storage/output_stream.h"

namespace cairn::storage {

// Which pack: the generation that wrote it, and the node.
struct PackKey {
  std::uint64_t generation = 0;
  std::uint32_t node = 0;
  auto operator<=>(const PackKey&) const = default;

  [[nodiscard]] std::string path() const {  // relative to the store's directory
    return std::to_string(generation) + "/node-" + std::to_string(node) + ".pack";
  }
  static Result<PackKey> from_path(const std::string& path);
};

class PackWriter {
 public:
  static Result<std::unique_ptr<PackWriter>> create(const std::string& path, PackKey key,
                                                    std::uint32_t compactions, BufferPool& blocks);

  // All of these may be called by several threads at once.
  std::uint64_t reserve_chunk();
  Result<> write_chunk(std::uint64_t number, const Compressor::Output& data,
                       const std::array<std::uint64_t, kChunkPages / 64>& present,
                       std::span<const Hash> hashes);
  std::uint64_t add_node(TreeNodeKind kind, const Hash& identity, std::span<const std::byte> bytes);
  std::uint64_t slot_of(PackKey pack);  // in this pack's table

  // Writes the index and syncs. The summary's path is left empty.
  Result<FileSummary> finish();

  // Of compaction: the tables are taken over as they are.
  void set_tables(std::vector<PackTableEntry> packs, std::vector<TreeNodeEntry> nodes,
                  std::vector<std::byte> node_bytes);

 private:
  PackWriter(PackKey key, std::unique_ptr<OutputStream> stream);

  const PackKey key_;
  std::unique_ptr<OutputStream> stream_;
  std::mutex mutex_;
  std::vector<ChunkEntry> chunks_;
  std::vector<std::vector<Hash>> hashes_;  // by chunk
  std::vector<PackTableEntry> packs_;
  std::map<PackKey, std::uint64_t> slots_;
  std::vector<TreeNodeEntry> nodes_;
  std::vector<std::byte> node_bytes_;
};

}  // namespace cairn::storage
