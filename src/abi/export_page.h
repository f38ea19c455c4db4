#pragma once
// The frozen page at the arena's base: the only addresses of the host that guest memory may hold.
//
// It is executable and made of slots of 16 bytes, each a jump to where the runtime of today has that
// function. Slots are only ever added; an image says up to which slot it needs (kSlotsVersion).

#include <cstdint>

#include "abi/arena.h"

namespace cairn::abi {

inline constexpr std::uint64_t kExportMagic = 0x31'4e'52'49'41'43ULL;  // "CAIRN1"
inline constexpr std::uint32_t kSlotsVersion = 1;
inline constexpr std::uint64_t kSlotBytes = 16;

enum class Slot : std::uint32_t {
  kHeader = 0,         // not code: kExportMagic, then kSlotsVersion
  kSyscallEntry = 1,   // rax=number, rcx=guest return address, arguments as for syscall
  kVdsoClockGettime = 2,
  kVdsoGettimeofday = 3,
  kVdsoTime = 4,
  kVdsoClockGetres = 5,
  kVdsoGetcpu = 6,
};

constexpr std::uint64_t slot_address(Slot slot) {
  return kArenaBase + static_cast<std::uint64_t>(slot) * kSlotBytes;
}

}  // namespace cairn::abi
