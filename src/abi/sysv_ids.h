#pragma once
// System V IPC of the job, in memory that its processes share: which sets it knows, and those whose
// ids differ from the kernel's since a restart.
//
// Keys and values are ids plus one: 0 is an id, and a word of 0 an empty slot (id_table.h).

#include <atomic>
#include <cstdint>

#include "abi/id_table.h"

namespace cairn::abi {

enum class SysvKind : std::uint32_t { kMemory = 0, kSemaphores = 1, kMessages = 2 };
inline constexpr std::uint32_t kSysvKinds = 3;
inline constexpr std::uint32_t kSysvSlots = 1U << 16;  // twice what an IPC namespace can hold

enum class SysvOrigin : std::int32_t { kFound = 1, kCreated = 2 };

struct SysvIds {
  IdMap<kSysvSlots> known;  // by the real id: a SysvOrigin
  IdMap<kSysvSlots> by_real;
  IdMap<kSysvSlots> by_virtual;
};

struct SysvTable {
  std::atomic<std::uint32_t> shifted;   // 0: every id is the kernel's own
  std::atomic<std::uint32_t> invented;  // how many ids were given to new sets whose own were taken
  std::atomic<std::uint32_t> overflow;  // more sets were made than there is room to remember
  SysvIds kinds[kSysvKinds];

  [[nodiscard]] SysvIds& of(SysvKind kind) { return kinds[static_cast<std::uint32_t>(kind)]; }
  [[nodiscard]] const SysvIds& of(SysvKind kind) const {
    return kinds[static_cast<std::uint32_t>(kind)];
  }

  void note(SysvKind kind, std::int32_t real, SysvOrigin origin) {
    if (of(kind).known.insert(real + 1, static_cast<std::int32_t>(origin)) == 0) overflow.store(1);
  }
  // Restart: this pair holds from now on. False: no room.
  [[nodiscard]] bool bind(SysvKind kind, std::int32_t virtual_id, std::int32_t real) {
    shifted.store(1);
    return of(kind).by_virtual.insert(virtual_id + 1, real + 1) != 0 &&
           of(kind).by_real.insert(real + 1, virtual_id + 1) != 0;
  }
  [[nodiscard]] std::int32_t to_virtual(SysvKind kind, std::int32_t real) const {
    const std::int32_t known = of(kind).by_real.find(real + 1);
    return known != 0 ? known - 1 : real;
  }
};

}  // namespace cairn::abi
