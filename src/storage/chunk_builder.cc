#include "storage/chunk_builder.h"

#include <cstring>

#include "storage/page.h"

namespace cairn::storage {

ChunkBuilder::ChunkBuilder(PackWriter& pack, Codec codec, int level)
    : pack_(pack), compressor_(codec, level) {}

std::uint64_t ChunkBuilder::next_place() {
  if (!chunk_reserved_) {
    chunk_ = pack_.reserve_chunk();
    chunk_reserved_ = true;
  }
  return chunk_ * kChunkPages + count_;
}

Result<> ChunkBuilder::add(const std::byte* page, const Hash& hash) {
  next_place();
  pages_[count_] = page;
  hashes_[count_] = hash;
  ++count_;
  return count_ == kChunkPages ? flush() : Result<>{};
}

bool ChunkBuilder::in_one_piece() const {
  for (std::uint32_t i = 1; i < count_; ++i)
    if (pages_[i] != pages_[0] + i * kPageBytes) return false;
  return true;
}

void ChunkBuilder::settle() {
  if (own_.empty()) own_.resize(kChunkPages * kPageBytes);
  for (; settled_ < count_; ++settled_) {
    std::byte* place = own_.data() + settled_ * kPageBytes;
    std::memcpy(place, pages_[settled_], kPageBytes);
    pages_[settled_] = place;
  }
}

Result<> ChunkBuilder::flush() {
  if (count_ == 0) return {};
  if (!in_one_piece()) settle();
  std::array<std::uint64_t, kChunkPages / 64> present{};
  for (std::uint32_t i = 0; i < count_; ++i) present[i / 64] |= 1ULL << (i % 64);
  const auto output = compressor_.compress({pages_[0], count_ * kPageBytes});
  const auto hashes = std::span(hashes_).first(count_);
  chunk_reserved_ = false;
  count_ = 0;
  settled_ = 0;
  return pack_.write_chunk(chunk_, output, present, hashes);
}

}  // namespace cairn::storage
