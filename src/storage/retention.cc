#include "storage/retention.h"

#include <unistd.h>

#include <algorithm>
#include <bitset>
#include <cstring>
#include <map>
#include <set>

#include "storage/chunk_builder.h"
#include "storage/file.h"
#include "storage/generation_files.h"
#include "storage/record_file.h"
#include "storage/tree.h"

namespace cairn::storage {
namespace {

const std::string kCompacted = ".new";  // a compacted pack until it is renamed

// What of one pack the kept generations need.
struct Live {
  std::map<std::uint64_t, std::bitset<kChunkPages>> pages;  // by chunk
  std::set<std::uint64_t> nodes;

  [[nodiscard]] std::uint64_t page_count() const {
    std::uint64_t count = 0;
    for (const auto& [chunk, present] : pages) count += present.count();
    return count;
  }
};
using LiveByPack = std::map<PackKey, Live>;

Result<> mark(const std::string& store, const GenerationInfo& generation, PackSet& packs,
              LiveByPack& live) {
  TreeWalker walker(packs);
  // What is below a node that was reached before was marked then.
  walker.enter = [&live](const Pack& pack, std::uint64_t number, const Hash&) {
    return live[pack.key()].nodes.insert(number).second;
  };
  walker.piece = [&live](const Piece& piece) -> Result<> {
    if (piece.pack == nullptr) return {};
    auto& present = live[piece.pack->key()].pages[piece.chunk];
    for (std::uint32_t i = 0; i < piece.pages; ++i) present.set(piece.index + i);
    return {};
  };
  for (const NodeSummary& node : generation.nodes) {
    for (const FileSummary& pack : node.packs) {
      CAIRN_ASSIGN(const PackKey key, PackKey::from_path(pack.path));
      if (key.generation == generation.number) live[key];  // its own stays, whatever is in it
    }
    CAIRN_ASSIGN(const RecordFile records,
                 read_record_file(store + "/" + node.meta.path, generation.number, node.node,
                                  ReadPath::kCache));
    for (const PageDataRef& root : records.roots) CAIRN_TRY(walker.walk(root));
  }
  return {};
}

Result<std::uint64_t> size_of(const std::string& path) {
  CAIRN_ASSIGN(const Fd fd, open_file(path));
  return file_size(fd.get(), path);
}

Result<> remove_counted(const std::string& path, FaultPoint fault, RetentionReport& report) {
  CAIRN_ASSIGN(const std::uint64_t bytes, size_of(path));
  CAIRN_TRY(remove_file(path, fault));
  report.bytes_freed += bytes;
  return {};
}

// Removes from one generation's directory all that nobody needs, and the directory if it is empty.
Result<> sweep(const std::string& store, std::uint64_t number, const LiveByPack& live,
               RetentionReport& report) {
  const std::string directory = generation_path(store, number);
  CAIRN_ASSIGN(const auto names, list_directory(directory));
  std::size_t left = names.size();
  for (const std::string& name : names) {
    const auto key = PackKey::from_path(std::to_string(number) + "/" + name);
    if (key && live.contains(*key)) continue;
    CAIRN_TRY(remove_counted(directory + "/" + name, FaultPoint::kPrunePack, report));
    report.packs_removed += key ? 1 : 0;
    --left;
  }
  if (left == 0 && ::rmdir(directory.c_str()) != 0) return os_failure("remove", directory);
  return {};
}

Result<> copy_live_pages(const Pack& pack, const Live& live, PackWriter& writer) {
  Compressor compressor(Codec::kZstd, 1);
  ChunkScratch scratch;
  std::vector<std::byte> pages(kChunkPages * kPageBytes);
  std::vector<Hash> hashes;
  for (std::uint64_t chunk = 0; chunk < pack.chunks().size(); ++chunk) {
    writer.reserve_chunk();  // numbers stay
    const auto found = live.pages.find(chunk);
    if (found == live.pages.end()) continue;
    CAIRN_ASSIGN(const auto old, pack.read_pages(chunk, scratch));
    std::array<std::uint64_t, kChunkPages / 64> present{};
    hashes.clear();
    for (std::uint32_t index = 0; index < kChunkPages; ++index) {
      const auto rank = pack.rank(chunk, index);
      if (!found->second[index] || !rank) continue;
      std::memcpy(pages.data() + hashes.size() * kPageBytes, old.data() + *rank * kPageBytes,
                  kPageBytes);
      hashes.push_back(pack.chunk_hashes(chunk)[*rank]);
      present[index / 64] |= 1ULL << (index % 64);
    }
    const auto bytes = std::span<const std::byte>(pages).first(hashes.size() * kPageBytes);
    CAIRN_TRY(writer.write_chunk(chunk, compressor.compress(bytes), present, hashes));
  }
  return {};
}

Result<> copy_live_nodes(const Pack& pack, const Live& live, PackWriter& writer) {
  std::vector<TreeNodeEntry> nodes;
  std::vector<std::byte> bytes;
  for (std::uint64_t number = 0; number < pack.nodes().size(); ++number) {
    TreeNodeEntry entry = pack.nodes()[number];
    if (live.nodes.contains(number)) {
      CAIRN_ASSIGN(const auto old, pack.node(number, entry.kind, entry.identity));
      entry.offset = bytes.size();
      bytes.insert(bytes.end(), old.begin(), old.end());
    } else {
      entry.offset = 0;
      entry.bytes = 0;
    }
    nodes.push_back(entry);
  }
  writer.set_tables({pack.packs().begin(), pack.packs().end()}, std::move(nodes), std::move(bytes));
  return {};
}

// Writes the pack anew without what is dead; chunk, page and node numbers stay what they are, so no
// reference to it changes, and the rename is the only step that counts.
Result<> compact(const Pack& pack, const Live& live, BufferPool& blocks, RetentionReport& report) {
  const std::string path = pack.path() + kCompacted;
  CAIRN_ASSIGN(auto writer,
               PackWriter::create(path, pack.key(), pack.header().compactions + 1, blocks));
  CAIRN_TRY(copy_live_pages(pack, live, *writer));
  CAIRN_TRY(copy_live_nodes(pack, live, *writer));
  CAIRN_ASSIGN(const FileSummary file, writer->finish());
  CAIRN_TRY(rename_file(path, pack.path(), FaultPoint::kCompactRename));
  CAIRN_TRY(sync_directory(pack.path().substr(0, pack.path().rfind('/')), FaultPoint::kStoreSync));
  report.packs_compacted += 1;
  report.bytes_freed += pack.bytes() - std::min(pack.bytes(), file.bytes);
  return {};
}

bool mostly_dead(const Pack& pack, const Live& live) {
  std::uint64_t pages = 0;
  for (const ChunkEntry& chunk : pack.chunks()) pages += chunk.pages;
  return live.page_count() * 2 < pages;
}

}  // namespace

Result<RetentionReport> apply_retention(const std::string& store,
                                        const std::vector<GenerationInfo>& committed, unsigned keep,
                                        BufferPool& blocks) {
  RetentionReport report;
  std::vector<const GenerationInfo*> whole;
  for (const GenerationInfo& generation : committed)
    if (!generation.damaged) whole.push_back(&generation);
  const std::size_t kept = std::min<std::size_t>(whole.size(), std::max(keep, 1U));
  if (kept == 0) return report;
  const std::uint64_t oldest_kept = whole[whole.size() - kept]->number;

  PackSet packs(store);
  LiveByPack live;
  for (const GenerationInfo* generation : whole)
    if (generation->number >= oldest_kept) CAIRN_TRY(mark(store, *generation, packs, live));

  for (const GenerationInfo& generation : committed) {
    if (generation.number >= oldest_kept) continue;
    const std::string directory = generation_path(store, generation.number);
    CAIRN_TRY(remove_counted(directory + "/" + kManifestName, FaultPoint::kPruneManifest, report));
    CAIRN_TRY(sync_directory(directory, FaultPoint::kStoreSync));
    report.removed.push_back(generation.number);
  }
  CAIRN_ASSIGN(const auto names, list_directory(store));
  for (const std::string& name : names) {
    const std::uint64_t number = parse_number(name);
    if (number != 0 && number < oldest_kept) CAIRN_TRY(sweep(store, number, live, report));
  }
  for (const auto& [key, pack] : packs.opened()) {
    const std::string unfinished = pack->path() + kCompacted;
    if (::unlink(unfinished.c_str()) != 0 && errno != ENOENT)
      return os_failure("remove", unfinished);
    if (mostly_dead(*pack, live[key])) CAIRN_TRY(compact(*pack, live[key], blocks, report));
  }
  CAIRN_TRY(sync_directory(store, FaultPoint::kStoreSync));
  return report;
}

}  // namespace cairn::storage
