#pragma once
// From a hash to where its contents are: the memory of what is stored already.
//
// Open addressing in 64 shards, each with its own lock, 24 bytes an entry: about 0.8 % of the
// memory of the job. It is bounded: when it is full, new contents are stored without being
// remembered, and would be stored again.

#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "storage/hash.h"

namespace cairn::storage {

class HashIndex {
 public:
  explicit HashIndex(std::uint64_t max_bytes);

  // 0 if unknown; no reference in memory is 0.
  [[nodiscard]] std::uint64_t find(const Hash& hash);

  // The reference that is known for `hash`, else remembers `ref` and returns it.
  std::uint64_t find_or_insert(const Hash& hash, std::uint64_t ref);

  void remove_if(const std::function<bool(std::uint64_t ref)>& gone);
  void clear();

 private:
  struct Entry {
    Hash hash;
    std::uint64_t ref = 0;
  };
  struct Shard {
    std::mutex mutex;
    std::vector<Entry> entries;  // a power of two, or none
    std::size_t used = 0;

    std::size_t place_of(const Hash& hash) const;
    void resize(std::size_t capacity);
  };

  Shard& shard_of(const Hash& hash) { return shards_[hash.high >> 58]; }

  std::size_t max_shard_entries_;
  std::array<Shard, 64> shards_;
};

}  // namespace cairn::storage
