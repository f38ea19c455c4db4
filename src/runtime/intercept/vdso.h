#pragma once
// The kernel's vDSO, moved into the arena, and the guest's own, which jumps to it (vdso.cc).

#include <cstdint>

#include "sys/result.h"

namespace cairn::runtime {

// Moves the kernel's vvar and vdso into the arena and finds its functions. Without a vDSO, or
// without /proc to find its extent, system calls serve instead.
void adopt_kernel_vdso(std::uint64_t sysinfo_ehdr);
// Maps the guest's vDSO; its address is what AT_SYSINFO_EHDR tells the guest.
sys::SysResult map_guest_vdso();
// After a restart: it came back as guest memory.
void set_guest_vdso(std::uint64_t address);
std::uint64_t guest_vdso();
// The address in the guest's vDSO of the function behind a slot of the export page.
std::uint64_t guest_vdso_function(std::uint64_t slot);
bool in_kernel_vdso(std::uint64_t address);
bool in_plain_vdso(std::uint64_t address);

// The host's own clock reading: nanoseconds, the kernel's CLOCK_MONOTONIC.
std::int64_t kernel_monotonic_ns();

}  // namespace cairn::runtime
