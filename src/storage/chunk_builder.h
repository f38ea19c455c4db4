#pragma once
// Gathers new pages into chunks, compresses and writes them. One for each worker thread.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "storage/codec.h"
#include "storage/pack_writer.h"

namespace cairn::storage {

class ChunkBuilder {
 public:
  ChunkBuilder(PackWriter& pack, Codec codec, int level);

  // Where the next page will be: kChunkPages * chunk + index.
  std::uint64_t next_place();

  // Takes a page at next_place(). It is not copied yet: until settle() or flush() it must stay.
  Result<> add(const std::byte* page, const Hash& hash);

  // Copies what still lies with the caller.
  void settle();

  // Writes what there is as a chunk.
  Result<> flush();

  [[nodiscard]] bool empty() const { return count_ == 0; }

 private:
  [[nodiscard]] bool in_one_piece() const;

  PackWriter& pack_;
  Compressor compressor_;
  std::uint64_t chunk_ = 0;
  bool chunk_reserved_ = false;
  std::uint32_t count_ = 0;
  std::uint32_t settled_ = 0;  // pages 0 .. settled_ - 1 lie in own_
  std::array<const std::byte*, kChunkPages> pages_;
  std::array<Hash, kChunkPages> hashes_;
  std::vector<std::byte> own_;
};

}  // namespace cairn::storage
