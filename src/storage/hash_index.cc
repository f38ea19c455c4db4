#include "storage/hash_index.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace cairn::storage {
namespace {

constexpr std::size_t kFirstCapacity = 64;
constexpr std::size_t max_used(std::size_t capacity) {
  return capacity - capacity / 4;
}

}  // namespace

HashIndex::HashIndex(std::uint64_t max_bytes)
    : max_shard_entries_(std::max<std::size_t>(
          kFirstCapacity,
          std::bit_floor(static_cast<std::size_t>(max_bytes / (sizeof(Entry) * 64))))) {}

std::size_t HashIndex::Shard::place_of(const Hash& hash) const {
  const std::size_t mask = entries.size() - 1;
  std::size_t place = hash.low & mask;
  while (entries[place].ref != 0 && entries[place].hash != hash) place = (place + 1) & mask;
  return place;
}

void HashIndex::Shard::resize(std::size_t capacity) {
  const std::vector<Entry> old = std::exchange(entries, std::vector<Entry>(capacity));
  for (const Entry& entry : old)
    if (entry.ref != 0) entries[place_of(entry.hash)] = entry;
}

std::uint64_t HashIndex::find(const Hash& hash) {
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  return shard.entries.empty() ? 0 : shard.entries[shard.place_of(hash)].ref;
}

std::uint64_t HashIndex::find_or_insert(const Hash& hash, std::uint64_t ref) {
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  if (shard.entries.empty()) shard.resize(kFirstCapacity);
  std::size_t place = shard.place_of(hash);
  if (shard.entries[place].ref != 0) return shard.entries[place].ref;
  if (shard.used + 1 > max_used(shard.entries.size())) {
    if (shard.entries.size() >= max_shard_entries_) return ref;
    shard.resize(shard.entries.size() * 2);
    place = shard.place_of(hash);
  }
  shard.entries[place] = {hash, ref};
  ++shard.used;
  return ref;
}

void HashIndex::remove_if(const std::function<bool(std::uint64_t ref)>& gone) {
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (Entry& entry : shard.entries)
      if (entry.ref != 0 && gone(entry.ref)) {
        entry.ref = 0;
        --shard.used;
      }
    // Gaps would cut probe sequences: place the rest anew.
    if (!shard.entries.empty()) shard.resize(shard.entries.size());
  }
}

void HashIndex::clear() {
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    shard.entries = {};
    shard.used = 0;
  }
}

}  // namespace cairn::storage
