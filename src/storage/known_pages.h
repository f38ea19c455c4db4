#pragma once
// What is stored already, as one node's writer knows it: the pages and tree nodes of all packs that
// its committed generations need, and of the one being written.
//
// It lives as long as the store is open, and is made anew from the packs whenever one of them is no
// longer the file it was (retention on another node removed or compacted it).

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "storage/hash_index.h"
#include "storage/manifest.h"
#include "storage/pack_reader.h"

namespace cairn::storage {

class KnownPages {
 public:
  KnownPages(std::string directory, std::uint64_t max_bytes);

  HashIndex pages;  // of kChunkPages * chunk + index, with a slot
  HashIndex nodes;

  // Before a generation is written: `committed` are the store's generations.
  Result<> refresh(const std::vector<GenerationInfo>& committed, std::uint32_t node);

  // A slot for the pack that is being written. Slots count from 1.
  std::uint64_t add_pack(PackKey key);
  // After that pack's file is complete, wherever it lies now.
  Result<> pack_is_complete(std::uint64_t slot, const std::string& path);
  // That pack will never be committed.
  void forget(std::uint64_t slot);
  void forget_all();

  [[nodiscard]] PackKey key_of(std::uint64_t slot) const { return slots_[slot].key; }

 private:
  struct Slot {
    PackKey key;
    std::uint64_t inode = 0;
    std::uint64_t bytes = 0;
    bool used = false;
  };

  [[nodiscard]] bool still_valid() const;
  void load(const GenerationInfo& generation, std::uint32_t node, PackSet& packs);
  std::uint64_t load_pack(PackSet& packs, PackKey key);

  const std::string directory_;
  std::vector<Slot> slots_;
  bool loaded_ = false;
};

}  // namespace cairn::storage
