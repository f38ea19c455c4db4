#pragma once
// An open pack: its index checked and in memory, its chunks read on demand. And the set of packs of
// a store, opened as references lead to them.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "storage/codec.h"
#include "storage/format.h"
#include "storage/pack_writer.h"

namespace cairn::storage {

// Around the page cache what comes is from the device, and no page of the cache is filled and copied
// for bytes that are read once.
enum class ReadPath { kCache, kDevice, kCheapest };

// A file read at any offset.
class InputFile {
 public:
  // kCheapest: from the page cache if most of the file is there already.
  static Result<InputFile> open(const std::string& path, ReadPath read_path);

  // The bytes, in `scratch`, which grows as needed.
  Result<std::span<const std::byte>> read(std::uint64_t offset, std::uint64_t bytes,
                                          std::vector<std::byte>& scratch) const;
  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool direct() const { return direct_; }

 private:
  std::string path_;
  Fd fd_;
  std::uint64_t size_ = 0;
  bool direct_ = false;
};

// One thread's buffers for reading chunks.
struct ChunkScratch {
  Decompressor decompressor;
  std::vector<std::byte> stored;
  std::vector<std::byte> pages;
};

class Pack {
 public:
  static Result<std::unique_ptr<Pack>> open(const std::string& path, PackKey key,
                                            ReadPath read_path);

  [[nodiscard]] PackKey key() const { return key_; }
  [[nodiscard]] const std::string& path() const { return file_.path(); }
  [[nodiscard]] const InputFile& file() const { return file_; }
  [[nodiscard]] std::uint64_t bytes() const { return file_.size(); }
  [[nodiscard]] const PackHeader& header() const { return *header_; }
  [[nodiscard]] const Hash& index_checksum() const { return index_checksum_; }

  [[nodiscard]] std::span<const ChunkEntry> chunks() const { return chunks_; }
  [[nodiscard]] std::span<const Hash> chunk_hashes(std::uint64_t chunk) const;
  [[nodiscard]] std::span<const PackTableEntry> packs() const { return packs_; }
  [[nodiscard]] std::span<const TreeNodeEntry> nodes() const { return nodes_; }

  // Where page `index` of `chunk` lies among the chunk's pages; nothing if it is not there.
  [[nodiscard]] std::optional<std::uint32_t> rank(std::uint64_t chunk, std::uint32_t index) const;

  // The bytes of a tree node, which must be of `kind` and have `identity`.
  Result<std::span<const std::byte>> node(std::uint64_t number, TreeNodeKind kind,
                                          const Hash& identity) const;

  // Which pack a reference in one of this pack's nodes means.
  Result<PackKey> resolve(std::uint64_t ref) const;

  // Reads and checks the stored bytes; the span is valid until the next use of `scratch`.
  Result<std::span<const std::byte>> read_stored(std::uint64_t chunk, ChunkScratch& scratch) const;
  // The chunk's pages, one after another.
  Result<std::span<const std::byte>> read_pages(std::uint64_t chunk, ChunkScratch& scratch) const;
  // It has been read by one of these, and was whole.
  [[nodiscard]] bool was_whole(std::uint64_t chunk) const { return whole_[chunk].load(); }

 private:
  Pack(PackKey key, InputFile file) : key_(key), file_(std::move(file)) {}
  Result<> read_header();
  Result<> read_index();

  PackKey key_;
  InputFile file_;
  std::unique_ptr<PackHeader> header_;
  std::vector<std::byte> index_;
  Hash index_checksum_;
  std::span<const ChunkEntry> chunks_;
  std::span<const Hash> hashes_;
  std::vector<std::uint64_t> first_hash_;  // by chunk
  std::unique_ptr<std::atomic<bool>[]> whole_;  // by chunk
  std::span<const PackTableEntry> packs_;
  std::span<const TreeNodeEntry> nodes_;
  std::span<const std::byte> node_bytes_;
};

// Opened packs by key; one thread at a time may call get().
class PackSet {
 public:
  explicit PackSet(std::string directory, ReadPath read_path = ReadPath::kCache)
      : directory_(std::move(directory)), read_path_(read_path) {}

  // The pack of a generation that is not renamed yet lies elsewhere.
  void set_path(PackKey key, std::string path) { paths_[key] = std::move(path); }
  Result<const Pack*> get(PackKey key);
  [[nodiscard]] const std::map<PackKey, std::unique_ptr<Pack>>& opened() const { return packs_; }

 private:
  const std::string directory_;
  const ReadPath read_path_;
  std::map<PackKey, std::string> paths_;
  std::map<PackKey, std::unique_ptr<Pack>> packs_;
};

}  // namespace cairn::storage
