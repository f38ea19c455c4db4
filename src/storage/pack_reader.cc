#include "storage/pack_reader.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "storage/file.h"
#include "storage/page.h"

namespace cairn::storage {
namespace {

constexpr std::uint64_t kSector = 4096;

// Takes `count` elements off the front; false if there are not so many.
template <class T>
bool take(std::span<const std::byte>& bytes, std::uint64_t count, std::span<const T>& table) {
  if (count > bytes.size() / sizeof(T)) return false;
  table = {reinterpret_cast<const T*>(bytes.data()), count};
  bytes = bytes.subspan(count * sizeof(T));
  return true;
}

bool mostly_cached(int fd, std::uint64_t size) {
  if (size == 0) return true;
  void* view = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (view == MAP_FAILED) return false;
  std::vector<unsigned char> pages((size + kPageBytes - 1) / kPageBytes);
  const bool known = ::mincore(view, size, pages.data()) == 0;
  ::munmap(view, size);
  const auto there = std::count_if(pages.begin(), pages.end(), [](auto page) { return page & 1; });
  return known && static_cast<std::size_t>(there) > pages.size() / 2;
}

}  // namespace

Result<InputFile> InputFile::open(const std::string& path, ReadPath read_path) {
  InputFile file;
  file.path_ = path;
  CAIRN_ASSIGN(file.fd_, open_file(path));
  CAIRN_ASSIGN(file.size_, file_size(file.fd_.get(), path));
  const bool direct =
      read_path == ReadPath::kDevice ||
      (read_path == ReadPath::kCheapest && !mostly_cached(file.fd_.get(), file.size_));
  // A file system without direct I/O (tmpfs) has no device to read from either.
  file.direct_ = direct && ::fcntl(file.fd_.get(), F_SETFL, O_DIRECT) == 0;
  return file;
}

Result<std::span<const std::byte>> InputFile::read(std::uint64_t offset, std::uint64_t bytes,
                                                   std::vector<std::byte>& scratch) const {
  if (offset > size_ || bytes > size_ - offset)
    return refusal("read: the file is truncated", path_);
  if (!direct_) {
    if (scratch.size() < bytes) scratch.resize(bytes);
    const std::span<std::byte> place = std::span(scratch).first(bytes);
    CAIRN_TRY(read_at(fd_.get(), place, offset, path_));
    return std::span<const std::byte>(place);
  }
  const std::uint64_t start = offset / kSector * kSector;
  const std::uint64_t whole = (offset + bytes + kSector - 1) / kSector * kSector - start;
  if (scratch.size() < whole + kSector) scratch.resize(whole + kSector);
  const auto address = reinterpret_cast<std::uintptr_t>(scratch.data());
  const std::span<std::byte> place =
      std::span(scratch).subspan((kSector - address % kSector) % kSector, whole);
  std::uint64_t done = 0;
  while (done < offset + bytes - start) {  // the file's end may lie inside the last sector
    if (const int injected = fault_here(FaultPoint::kPackRead); injected > 0)
      return failure(injected, "read", path_);
    const ssize_t got =
        ::pread(fd_.get(), place.data() + done, whole - done, static_cast<off_t>(start + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EINVAL && drop_direct(fd_.get())) continue;
    if (got < 0) return os_failure("read", path_);
    if (got == 0) return refusal("read: the file is truncated", path_);
    done += static_cast<std::uint64_t>(got);
  }
  return std::span<const std::byte>(place).subspan(offset - start, bytes);
}

Result<std::unique_ptr<Pack>> Pack::open(const std::string& path, PackKey key,
                                         ReadPath read_path) {
  CAIRN_ASSIGN(InputFile file, InputFile::open(path, read_path));
  std::unique_ptr<Pack> pack(new Pack(key, std::move(file)));
  CAIRN_TRY(pack->read_header());
  CAIRN_TRY(pack->read_index());
  return pack;
}

Result<> Pack::read_header() {
  std::vector<std::byte> scratch;
  CAIRN_ASSIGN(const auto bytes, file_.read(0, sizeof(PackHeader), scratch));
  header_ = std::make_unique<PackHeader>();
  std::memcpy(header_.get(), bytes.data(), sizeof(PackHeader));
  if (header_->magic != kPackMagic) return refusal("read pack: not a pack", path());
  if (header_->checksum != hash_bytes(bytes.first(offsetof(PackHeader, checksum))))
    return refusal("read pack: its header is damaged", path());
  if (header_->version > kPackVersion)
    return refusal("read pack: version " + std::to_string(header_->version) + " is too new",
                   path());
  if (header_->page_bytes != kPageBytes || header_->chunk_pages != kChunkPages)
    return refusal("read pack: made of other units than this program knows", path());
  if (header_->generation != key_.generation || header_->node != key_.node)
    return refusal("read pack: it belongs to another generation or node", path());
  return {};
}

Result<> Pack::read_index() {
  if (file_.size() < sizeof(PackHeader) + sizeof(PackFooter))
    return refusal("read pack: the file is truncated", path());
  std::vector<std::byte> scratch;
  const std::uint64_t footer_offset = file_.size() - sizeof(PackFooter);
  CAIRN_ASSIGN(const auto footer_bytes, file_.read(footer_offset, sizeof(PackFooter), scratch));
  PackFooter footer;
  std::memcpy(&footer, footer_bytes.data(), sizeof footer);
  if (footer.magic != kPackEndMagic)
    return refusal("read pack: its end is missing or damaged", path());
  if (footer.checksum != hash_bytes(footer_bytes.first(offsetof(PackFooter, checksum))) ||
      footer.generation != key_.generation || footer.index_offset < sizeof(PackHeader) ||
      footer.index_offset > footer_offset)
    return refusal("read pack: its footer is damaged", path());

  CAIRN_ASSIGN(const auto index,
               file_.read(footer.index_offset, footer_offset - footer.index_offset, scratch));
  index_.assign(index.begin(), index.end());
  index_checksum_ = hash_bytes(index_);
  if (index_checksum_ != footer.index_checksum)
    return refusal("read pack: its index is damaged", path());
  std::span<const std::byte> rest = index_;
  if (!take(rest, footer.chunks, chunks_) || !take(rest, footer.pages, hashes_) ||
      !take(rest, footer.packs, packs_) || !take(rest, footer.nodes, nodes_) ||
      rest.size() != footer.node_bytes)
    return refusal("read pack: its index contradicts its footer", path());
  node_bytes_ = rest;
  whole_ = std::make_unique<std::atomic<bool>[]>(chunks_.size());

  // Chunks lie one after another without gaps, so that every byte is under some checksum.
  std::uint64_t hashes = 0;
  std::uint64_t bytes = 0;
  for (const ChunkEntry& chunk : chunks_) {
    first_hash_.push_back(hashes);
    hashes += chunk.pages;
    bytes += chunk.stored_bytes;
    std::uint32_t present = 0;
    for (const std::uint64_t word : chunk.present)
      present += static_cast<std::uint32_t>(std::popcount(word));
    if (present != chunk.pages || chunk.offset > footer.index_offset ||
        chunk.stored_bytes > footer.index_offset - chunk.offset)
      return refusal("read pack: a chunk contradicts the index", path());
  }
  if (hashes != footer.pages || bytes != footer.index_offset - sizeof(PackHeader))
    return refusal("read pack: its chunks contradict its footer", path());
  return {};
}

std::span<const Hash> Pack::chunk_hashes(std::uint64_t chunk) const {
  return hashes_.subspan(first_hash_[chunk], chunks_[chunk].pages);
}

std::optional<std::uint32_t> Pack::rank(std::uint64_t chunk, std::uint32_t index) const {
  if (chunk >= chunks_.size() || index >= kChunkPages) return std::nullopt;
  const auto& present = chunks_[chunk].present;
  if ((present[index / 64] >> (index % 64) & 1) == 0) return std::nullopt;
  std::uint32_t rank = 0;
  for (std::uint32_t word = 0; word < index / 64; ++word)
    rank += static_cast<std::uint32_t>(std::popcount(present[word]));
  const std::uint64_t below = (1ULL << (index % 64)) - 1;
  return rank + static_cast<std::uint32_t>(std::popcount(present[index / 64] & below));
}

Result<std::span<const std::byte>> Pack::node(std::uint64_t number, TreeNodeKind kind,
                                              const Hash& identity) const {
  if (number >= nodes_.size()) return refusal("read pack: a tree node is missing", path());
  const TreeNodeEntry& entry = nodes_[number];
  if (entry.bytes == 0 || entry.kind != kind || entry.identity != identity)
    return refusal("read pack: a tree node is not the one referred to", path());
  if (entry.offset % alignof(std::uint64_t) != 0 || entry.offset > node_bytes_.size() ||
      entry.bytes > node_bytes_.size() - entry.offset)
    return refusal("read pack: a tree node lies outside of the index", path());
  return node_bytes_.subspan(entry.offset, entry.bytes);
}

Result<PackKey> Pack::resolve(std::uint64_t ref) const {
  const std::uint64_t slot = ref_slot(ref);
  if (slot == 0) return key_;
  if (slot > packs_.size()) return refusal("read pack: a reference leads nowhere", path());
  const PackTableEntry& entry = packs_[slot - 1];
  return PackKey{entry.generation, static_cast<std::uint32_t>(entry.node)};
}

Result<std::span<const std::byte>> Pack::read_stored(std::uint64_t chunk,
                                                     ChunkScratch& scratch) const {
  const ChunkEntry& entry = chunks_[chunk];
  CAIRN_ASSIGN(const auto bytes, file_.read(entry.offset, entry.stored_bytes, scratch.stored));
  if (hash_bytes(bytes) != entry.checksum)
    return refusal("read pack: chunk " + std::to_string(chunk) + " is damaged", path());
  whole_[chunk] = true;
  return bytes;
}

Result<std::span<const std::byte>> Pack::read_pages(std::uint64_t chunk,
                                                    ChunkScratch& scratch) const {
  const ChunkEntry& entry = chunks_[chunk];
  CAIRN_ASSIGN(const auto stored, read_stored(chunk, scratch));
  const std::uint64_t bytes = entry.pages * kPageBytes;
  const auto codec = static_cast<Codec>(entry.codec);
  if (codec == Codec::kNone && stored.size() == bytes) return stored;
  if (scratch.pages.size() < bytes) scratch.pages.resize(bytes);
  const std::span<std::byte> pages = std::span(scratch.pages).first(bytes);
  CAIRN_TRY(scratch.decompressor.decompress(codec, stored, pages, path()));
  return std::span<const std::byte>(pages);
}

Result<const Pack*> PackSet::get(PackKey key) {
  if (const auto found = packs_.find(key); found != packs_.end()) return found->second.get();
  const auto path = paths_.find(key);
  CAIRN_ASSIGN(auto pack,
               Pack::open(path != paths_.end() ? path->second : directory_ + "/" + key.path(), key,
                          read_path_));
  return (packs_[key] = std::move(pack)).get();
}

}  // namespace cairn::storage
