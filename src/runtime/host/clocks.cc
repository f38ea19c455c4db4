#include "runtime/host/clocks.h"

#include "runtime/host/thread_block.h"

std::uint32_t cairn_clocks_shifted = 0;

namespace cairn::runtime {

Clocks g_clocks;

namespace {
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int32_t kMonotonic = 1, kProcessCpu = 2, kThreadCpu = 3, kMonotonicRaw = 4,
                       kMonotonicCoarse = 6, kBoottime = 7, kBoottimeAlarm = 9;
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
      return g_clocks.process_cpu_ns;
    case kThreadCpu:
      return current()->cpu_clock_offset_ns;
    default:
      return 0;
  }
}

void set_clocks(const Clocks& clocks) {
  g_clocks = clocks;
  cairn_clocks_shifted = 1;
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
