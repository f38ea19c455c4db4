#pragma once
// Pseudo terminals of the job, in memory that its processes share: the N of each /dev/pts/N as the
// guest knows it and the kernel's, where they differ since a restart.
//
// Keys and values are numbers plus one: 0 is a number, and a word of 0 an empty slot (id_table.h).
// A pair outlives its terminal, and then holds for whoever gets the kernel's number next.

#include <atomic>
#include <cstdint>

#include "abi/id_table.h"

namespace cairn::abi {

inline constexpr std::uint32_t kPtySlots = 1U << 13;
// Above every number that the kernel gives (NR_UNIX98_PTY_MAX).
inline constexpr std::int32_t kFirstInventedPty = 1 << 20;

struct PtyNumbers {
  std::atomic<std::uint32_t> shifted;   // how many came back by another number
  std::atomic<std::uint32_t> invented;  // numbers tried for terminals whose own were taken
  IdMap<kPtySlots> by_real;
  IdMap<kPtySlots> by_virtual;

  // Restart: this pair holds from now on. False: no room. Each pair may lead to one invented number.
  [[nodiscard]] bool bind(std::int32_t virtual_number, std::int32_t real) {
    return shifted.fetch_add(1) < kPtySlots / 2 &&
           by_virtual.insert(virtual_number + 1, real + 1) != 0 &&
           by_real.insert(real + 1, virtual_number + 1) != 0;
  }
  // -1: the guest knows no terminal by this number that the kernel knows by another one.
  [[nodiscard]] std::int32_t to_real(std::int32_t virtual_number) const {
    return by_virtual.find(virtual_number + 1) - 1;
  }
  // A number that the guest knows another terminal by is no name for this one: it gets a new one.
  std::int32_t to_virtual(std::int32_t real) {
    if (shifted.load(std::memory_order_relaxed) == 0) return real;
    if (const std::int32_t known = by_real.find(real + 1); known != 0) return known - 1;
    if (by_virtual.find(real + 1) == 0) return real;
    for (;;) {
      // One that was invented before the restart may be there.
      const auto fresh = kFirstInventedPty + static_cast<std::int32_t>(invented.fetch_add(1));
      const std::int32_t holder = by_virtual.insert(fresh + 1, real + 1);
      if (holder == 0) return real;  // no room
      if (holder == real + 1) return by_real.insert(real + 1, fresh + 1) - 1;
    }
  }
};

}  // namespace cairn::abi
