#include "storage/pack_writer.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "storage/page.h"

namespace cairn::storage {

Result<PackKey> PackKey::from_path(const std::string& path) {
  PackKey key;
  // What scanf is lenient about does not survive the way back.
  if (std::sscanf(path.c_str(), "%" SCNu64 "/node-%" SCNu32 ".pack", &key.generation, &key.node) !=
          2 ||
      key.path() != path)
    return refusal("not a pack's path", path);
  return key;
}

Result<std::unique_ptr<PackWriter>> PackWriter::create(const std::string& path, PackKey key,
                                                       std::uint32_t compactions,
                                                       BufferPool& blocks) {
  CAIRN_ASSIGN(auto stream, OutputStream::create(path, blocks));
  PackHeader header{};
  header.magic = kPackMagic;
  header.version = kPackVersion;
  header.page_bytes = kPageBytes;
  header.generation = key.generation;
  header.node = key.node;
  header.chunk_pages = kChunkPages;
  header.compactions = compactions;
  const auto bytes = std::as_bytes(std::span(&header, 1));
  header.checksum = hash_bytes(bytes.first(offsetof(PackHeader, checksum)));
  CAIRN_TRY(stream->append(bytes));
  return std::unique_ptr<PackWriter>(new PackWriter(key, std::move(stream)));
}

PackWriter::PackWriter(PackKey key, std::unique_ptr<OutputStream> stream)
    : key_(key), stream_(std::move(stream)) {}

std::uint64_t PackWriter::reserve_chunk() {
  const std::lock_guard lock(mutex_);
  chunks_.emplace_back();
  hashes_.emplace_back();
  return chunks_.size() - 1;
}

Result<> PackWriter::write_chunk(std::uint64_t number, const Compressor::Output& data,
                                 const std::array<std::uint64_t, kChunkPages / 64>& present,
                                 std::span<const Hash> hashes) {
  ChunkEntry entry{};
  entry.stored_bytes = static_cast<std::uint32_t>(data.bytes.size());
  entry.pages = static_cast<std::uint16_t>(hashes.size());
  entry.codec = static_cast<std::uint8_t>(data.codec);
  entry.checksum = hash_bytes(data.bytes);
  entry.present = present;
  CAIRN_ASSIGN(entry.offset, stream_->append(data.bytes));
  const std::lock_guard lock(mutex_);
  chunks_[number] = entry;
  hashes_[number].assign(hashes.begin(), hashes.end());
  return {};
}

std::uint64_t PackWriter::add_node(TreeNodeKind kind, const Hash& identity,
                                   std::span<const std::byte> bytes) {
  const std::lock_guard lock(mutex_);
  nodes_.push_back({node_bytes_.size(), static_cast<std::uint32_t>(bytes.size()), kind, identity});
  node_bytes_.insert(node_bytes_.end(), bytes.begin(), bytes.end());
  return nodes_.size() - 1;
}

std::uint64_t PackWriter::slot_of(PackKey pack) {
  if (pack == key_) return 0;
  const std::lock_guard lock(mutex_);
  const auto [place, is_new] = slots_.try_emplace(pack, packs_.size() + 1);
  if (is_new) packs_.push_back({pack.generation, pack.node});
  return place->second;
}

void PackWriter::set_tables(std::vector<PackTableEntry> packs, std::vector<TreeNodeEntry> nodes,
                            std::vector<std::byte> node_bytes) {
  packs_ = std::move(packs);
  nodes_ = std::move(nodes);
  node_bytes_ = std::move(node_bytes);
}

Result<FileSummary> PackWriter::finish() {
  stream_->set_write_fault(FaultPoint::kPackIndexWrite);
  std::vector<Hash> hashes;
  for (const auto& chunk : hashes_) hashes.insert(hashes.end(), chunk.begin(), chunk.end());

  std::vector<std::byte> index;
  const auto put = [&index](const auto& table) {
    const auto bytes = std::as_bytes(std::span(table));
    index.insert(index.end(), bytes.begin(), bytes.end());
  };
  put(chunks_);
  put(hashes);
  put(packs_);
  put(nodes_);
  put(node_bytes_);

  PackFooter footer{};
  footer.magic = kPackEndMagic;
  footer.index_offset = stream_->size();
  footer.chunks = chunks_.size();
  footer.pages = hashes.size();
  footer.packs = packs_.size();
  footer.nodes = nodes_.size();
  footer.node_bytes = node_bytes_.size();
  footer.generation = key_.generation;
  footer.index_checksum = hash_bytes(index);
  const auto bytes = std::as_bytes(std::span(&footer, 1));
  footer.checksum = hash_bytes(bytes.first(offsetof(PackFooter, checksum)));
  put(std::span(&footer, 1));

  CAIRN_TRY(stream_->append_long(index));
  CAIRN_TRY(stream_->finish(FaultPoint::kPackSync));
  return FileSummary{{}, stream_->size(), footer.index_checksum};
}

}  // namespace cairn::storage
