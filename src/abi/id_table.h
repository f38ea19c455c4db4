#pragma once
// The job's pids and tids that differ from the kernel's, in memory that its processes share.
//
// Two hash tables with linear probing, each of words `key << 32 | value`: one by the real id, one
// by the virtual one. A key is never taken out, so readers need no lock and a process that is
// killed in the middle of an insertion leaves nothing locked. There is no need to take one out
// either: keys are ids that came back at a restart, or real ids that collide with one of those, and
// the number of both is bounded by what came back.

#include <atomic>
#include <cstdint>

namespace cairn::abi {

template <std::uint32_t kSlots>
struct IdMap {
  static_assert((kSlots & (kSlots - 1)) == 0);
  std::atomic<std::uint64_t> slots[kSlots];

  static std::uint32_t first_slot(std::uint32_t key) { return (key * 0x9e3779b1U) & (kSlots - 1); }

  // 0: not there.
  [[nodiscard]] std::int32_t find(std::int32_t id) const {
    const auto key = static_cast<std::uint32_t>(id);
    std::uint32_t at = first_slot(key);
    for (std::uint32_t i = 0; i < kSlots; ++i, at = (at + 1) & (kSlots - 1)) {
      const std::uint64_t word = slots[at].load(std::memory_order_acquire);
      if (word == 0) return 0;
      if (word >> 32 == key) return static_cast<std::int32_t>(word);
    }
    return 0;
  }

  // What the key holds afterwards: `value`, or what another thread put there first; 0: no room.
  std::int32_t insert(std::int32_t id, std::int32_t value) {
    const auto key = static_cast<std::uint32_t>(id);
    const std::uint64_t wanted = std::uint64_t{key} << 32 | static_cast<std::uint32_t>(value);
    std::uint32_t at = first_slot(key);
    for (std::uint32_t i = 0; i < kSlots; ++i, at = (at + 1) & (kSlots - 1)) {
      std::uint64_t word = 0;
      if (slots[at].compare_exchange_strong(word, wanted)) return value;
      if (word >> 32 == key) return static_cast<std::int32_t>(word);
    }
    return 0;
  }
};

inline constexpr std::uint32_t kIdSlots = 1U << 16;
inline constexpr std::uint32_t kGroupSlots = 1U << 12;
// Above every number that the kernel gives (PID_MAX_LIMIT), below what a futex word has room for.
inline constexpr std::int32_t kFirstInventedId = (4 << 20) + 1;

// Ids as the guest knows them: those that are not here are the kernel's own.
struct IdTable {
  std::atomic<std::uint32_t> used;      // 0: every id is the kernel's own
  std::atomic<std::uint32_t> invented;  // how many ids were given to new threads and processes
  IdMap<kIdSlots> by_real;
  IdMap<kIdSlots> by_virtual;
  // Process groups and sessions that were there at a restart. A group keeps its number although its
  // leader, whose pid that is, may have none of its own here.
  IdMap<kGroupSlots> groups_by_real;
  IdMap<kGroupSlots> groups_by_virtual;

  [[nodiscard]] std::int32_t to_virtual(std::int32_t real) const {
    const std::int32_t known = used.load() != 0 ? by_real.find(real) : 0;
    return known != 0 ? known : real;
  }
  [[nodiscard]] std::int32_t to_real(std::int32_t virtual_id) const {
    const std::int32_t known = used.load() != 0 ? by_virtual.find(virtual_id) : 0;
    return known != 0 ? known : virtual_id;
  }
  [[nodiscard]] std::int32_t to_virtual_group(std::int32_t real) const {
    const std::int32_t known = used.load() != 0 ? groups_by_real.find(real) : 0;
    return known != 0 ? known : to_virtual(real);
  }
};

}  // namespace cairn::abi
