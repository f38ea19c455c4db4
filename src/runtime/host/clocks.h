#pragma once
// The guest's clocks: what has to be added to the kernel's so that no restart shows.

#include <cstdint>

#include "runtime/host/kernel_types.h"

namespace cairn::runtime {

struct Clocks {
  std::int64_t monotonic_ns;    // MONOTONIC, _RAW, _COARSE
  std::int64_t boottime_ns;     // BOOTTIME, BOOTTIME_ALARM
  std::int64_t process_cpu_ns;  // PROCESS_CPUTIME_ID
  std::int64_t user_ns;         // times, getrusage
  std::int64_t system_ns;
  std::int64_t children_user_ns;
  std::int64_t children_system_ns;
  std::int64_t start_ticks;     // when the process began (field 22 of its stat); 0: ask the kernel
};

extern Clocks g_clocks;

// What is added to the kernel's reading of this clock; 0 for REALTIME, TAI and unknown ones.
std::int64_t clock_offset_ns(std::int32_t clock);
void set_clocks(const Clocks& clocks);
// In a forked child: it has used no time yet.
void forget_cpu_times();
// What times() reports of the process, as struct tms has it. From times in microseconds: ticks of two
// halves do not add up.
struct CpuTicks {
  std::int64_t user, system, children_user, children_system;
};
CpuTicks cpu_ticks();
Timespec shifted(Timespec time, std::int64_t ns);

}  // namespace cairn::runtime

extern "C" {
extern std::uint32_t cairn_clocks_shifted;  // 0 until a restart: clock_gettime then adds nothing
void cairn_shift_clock(std::int32_t clock, cairn::runtime::Timespec* time);
}
