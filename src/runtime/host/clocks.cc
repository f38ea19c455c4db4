#include "runtime/host/clocks.h"

#include "runtime/host/job.h"
#include "runtime/host/thread_block.h"
#include "sys/syscall.h"

std::uint32_t cairn_clocks_shifted = 0;

namespace cairn::runtime {

Clocks g_clocks;

namespace {
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int32_t kMonotonic = 1, kProcessCpu = 2, kThreadCpu = 3, kMonotonicRaw = 4,
                       kMonotonicCoarse = 6, kBoottime = 7, kBoottimeAlarm = 9;

// A vfork child borrows our memory and has used nothing of this.
std::int64_t own_process_time(std::int64_t ns) { return current()->process == &g_process ? ns : 0; }

// The kernel's CPUCLOCK_*: bit 2 set for a thread, bits 0 and 1 say which time; ~pid above, 0: the
// caller's own.
std::int64_t cpu_clock_offset_ns(std::int32_t clock) {
  constexpr std::int32_t kThread = 4, kProf = 0, kSched = 2;  // else CPUCLOCK_VIRT
  std::int32_t owner = ~(clock >> 3), kind = clock & 3;
  ThreadBlock* caller = current();
  if ((clock & kThread) != 0) {
    ThreadBlock* t = owner == 0 ? caller : nullptr;
    for (std::uint32_t i = 0; i < block_count() && t == nullptr; ++i)
      if (block_at(i)->in_use != 0 && block_at(i)->virtual_tid == owner) t = block_at(i);
    if (t == nullptr) return 0;
    if (kind == kSched) return t->cpu_clock_offset_ns;
    return t->user_time_offset_ns + (kind == kProf ? t->system_time_offset_ns : 0);
  }
  if (owner != 0 && owner != caller->process->virtual_pid) return 0;
  if (kind == kSched) return own_process_time(g_clocks.process_cpu_ns);
  return own_process_time(g_clocks.user_ns + (kind == kProf ? g_clocks.system_ns : 0));
}
}  // namespace

std::int64_t clock_offset_ns(std::int32_t clock) {
  switch (clock) {
    case kMonotonic:
    case kMonotonicRaw:
    case kMonotonicCoarse:
      return g_clocks.monotonic_ns;
    case kBoottime:
    case kBoottimeAlarm:
      return g_clocks.boottime_ns;
    case kProcessCpu:
      return own_process_time(g_clocks.process_cpu_ns);
    case kThreadCpu:
      return current()->cpu_clock_offset_ns;
    default:
      return clock < 0 && (clock & 7) != 3 ? cpu_clock_offset_ns(clock) : 0;
  }
}

void set_clocks(const Clocks& clocks) {
  g_clocks = clocks;
  cairn_clocks_shifted = 1;
}

void forget_cpu_times() {
  g_clocks = {g_clocks.monotonic_ns, g_clocks.boottime_ns, 0, 0, 0, 0, 0, 0};
}

CpuTicks cpu_ticks() {
  constexpr std::uint64_t kSelf = 0, kChildren = static_cast<std::uint64_t>(-1);
  constexpr std::int64_t kMicrosecond = 1000, kTick = kSecond / 100;  // USER_HZ
  std::int64_t self[18] = {}, children[18] = {};  // struct rusage: two timevals come first
  (void)sys::call(__NR_getrusage, kSelf, sys::address(self));
  (void)sys::call(__NR_getrusage, kChildren, sys::address(children));
  auto ticks = [](const std::int64_t* time, std::int64_t offset) {
    return (time[0] * kSecond + time[1] * kMicrosecond + offset) / kTick;
  };
  return {ticks(self, g_clocks.user_ns), ticks(self + 2, g_clocks.system_ns),
          ticks(children, g_clocks.children_user_ns),
          ticks(children + 2, g_clocks.children_system_ns)};
}

Timespec shifted(Timespec time, std::int64_t ns) {
  time.sec += ns / kSecond;
  time.nsec += ns % kSecond;
  if (time.nsec >= kSecond) time.nsec -= kSecond, ++time.sec;
  if (time.nsec < 0) time.nsec += kSecond, --time.sec;
  return time;
}

}  // namespace cairn::runtime

void cairn_shift_clock(std::int32_t clock, cairn::runtime::Timespec* time) {
  using namespace cairn::runtime;
  if (time != nullptr) *time = shifted(*time, clock_offset_ns(clock));
}
