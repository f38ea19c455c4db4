// The guest's clocks where they differ from the kernel's: armed by a restart (clocks.h).

#include "runtime/handlers/dispatch.h"
#include "runtime/host/clocks.h"
#include "runtime/host/job.h"
#include "runtime/host/support.h"
#include "runtime/restorer/ids.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

std::int64_t after_clock_gettime(ThreadBlock* t, std::int64_t result) {
  std::int64_t offset = clock_offset_ns(static_cast<std::int32_t>(t->rdi));
  Timespec time{};
  if (result != 0 || offset == 0 || copy_from_guest(&time, t->rsi, sizeof(time)) != 0) return result;
  time = shifted(time, offset);
  return copy_to_guest(t->rsi, &time, sizeof(time));
}

Action clock_gettime(ThreadBlock* t) {
  pass(t, after_clock_gettime);
  t->tail.args[0] = static_cast<std::uint64_t>(real_clock(static_cast<std::int32_t>(t->rdi)));
  return Action::kTail;
}

struct ItimerSpec {
  Timespec interval;
  Timespec value;
};

// An absolute expiry of the guest's clock as the kernel's; one that lies before its epoch is due now.
Action settime(ThreadBlock* t, std::int32_t clock) {
  constexpr std::uint64_t kAbsolute = 1;
  pass(t);
  std::int64_t offset = clock_offset_ns(clock);
  ItimerSpec spec{};
  if ((t->rsi & kAbsolute) == 0 || offset == 0) return Action::kTail;
  if (copy_from_guest(&spec, t->rdx, sizeof(spec)) != 0) return Action::kTail;
  bool armed = spec.value.sec != 0 || spec.value.nsec != 0;
  if (!armed) return Action::kTail;
  spec.value = shifted(spec.value, -offset);
  if (spec.value.sec < 0) spec.value = {0, 1};
  memcpy(t->scratch, &spec, sizeof(spec));
  t->tail.args[2] = sys::address(t->scratch);
  return Action::kTail;
}

// "name: value" in a small file of /proc; -1 if it is not there.
std::int64_t read_field(const char* path, const char* name) {
  auto fd = sys::call(__NR_open, sys::address(path), 0x80000);
  if (!fd.ok()) return -1;
  char text[2048];
  auto got = sys::call(__NR_read, fd.value(), sys::address(text), sizeof(text) - 1);
  (void)sys::call(__NR_close, fd.value());
  if (!got.ok()) return -1;
  text[got.value()] = 0;
  for (const char* at = text; *at != 0; ++at) {
    if ((at != text && at[-1] != '\n') || !starts_with(at, name)) continue;
    at += string_length(name);
    while (*at == ' ' || *at == '\t') ++at;
    std::int64_t value = 0;
    for (; *at >= '0' && *at <= '9'; ++at) value = value * 10 + (*at - '0');
    return value;
  }
  return -1;
}

Action timerfd_settime(ThreadBlock* t) {
  char path[64];
  append_decimal(append(path, "/proc/thread-self/fdinfo/"), static_cast<std::int32_t>(t->rdi));
  return settime(t, static_cast<std::int32_t>(read_field(path, "clockid:")));
}

// /proc/self/timers lists "ID: n", ..., "ClockID: c" for each POSIX timer.
std::int32_t clock_of_timer(std::int32_t id) {
  auto fd = sys::call(__NR_open, sys::address("/proc/self/timers"), 0x80000);
  if (!fd.ok()) return -1;
  char text[8192];
  std::uint64_t bytes = 0;
  for (;;) {
    auto got = sys::call(__NR_read, fd.value(), sys::address(text) + bytes, sizeof(text) - 1 - bytes);
    if (!got.ok() || got.value() == 0) break;
    bytes += got.value();
  }
  (void)sys::call(__NR_close, fd.value());
  text[bytes] = 0;
  bool mine = false;
  for (const char* at = text; *at != 0; ++at) {
    if (at != text && at[-1] != '\n') continue;
    auto number = [](const char* digits) {
      std::int32_t value = 0;
      for (; *digits >= '0' && *digits <= '9'; ++digits) value = value * 10 + (*digits - '0');
      return value;
    };
    if (starts_with(at, "ID: ")) mine = number(at + 4) == id;
    if (mine && starts_with(at, "ClockID: ")) return number(at + 9);
  }
  return -1;
}

Action timer_settime(ThreadBlock* t) {
  return settime(t, virtual_clock(clock_of_timer(static_cast<std::int32_t>(t->rdi))));
}

struct Timeval {
  std::int64_t sec;
  std::int64_t usec;
};

Timeval add(Timeval time, std::int64_t ns) {
  Timespec moved = shifted({time.sec, time.usec * 1000}, ns);
  return {moved.sec, moved.nsec / 1000};
}

std::int64_t after_getrusage(ThreadBlock* t, std::int64_t result) {
  constexpr std::int32_t kSelf = 0, kChildren = -1, kThread = 1;
  auto who = static_cast<std::int32_t>(t->rdi);
  bool own = t->process == &g_process;  // a vfork child has used none of this
  std::int64_t user = 0, system = 0;
  if (who == kSelf && own) user = g_clocks.user_ns, system = g_clocks.system_ns;
  if (who == kChildren && own) user = g_clocks.children_user_ns, system = g_clocks.children_system_ns;
  if (who == kThread) user = t->user_time_offset_ns, system = t->system_time_offset_ns;
  Timeval times[2];
  if (result != 0 || (user == 0 && system == 0)) return result;
  if (copy_from_guest(times, t->rsi, sizeof(times)) != 0) return result;
  times[0] = add(times[0], user);
  times[1] = add(times[1], system);
  return copy_to_guest(t->rsi, times, sizeof(times));
}

Action getrusage(ThreadBlock* t) { return pass(t, after_getrusage); }

// struct sysinfo begins with the seconds since the boot.
std::int64_t after_sysinfo(ThreadBlock* t, std::int64_t result) {
  std::int64_t uptime = 0;
  if (result != 0 || copy_from_guest(&uptime, t->rdi, sizeof(uptime)) != 0) return result;
  uptime = shifted({uptime, 0}, g_clocks.boottime_ns).sec;
  return copy_to_guest(t->rdi, &uptime, sizeof(uptime));
}

Action sysinfo(ThreadBlock* t) { return pass(t, after_sysinfo); }

std::int64_t after_times(ThreadBlock* t, std::int64_t result) {
  constexpr std::int64_t kTick = kSecond / 100;  // USER_HZ
  if (t->process == &g_process && t->rdi != 0) {
    CpuTicks ticks = cpu_ticks();
    (void)!copy_to_guest(t->rdi, &ticks, sizeof(ticks));
  }
  return result + g_clocks.monotonic_ns / kTick;
}

Action times(ThreadBlock* t) { return pass(t, after_times); }

}  // namespace

const HandlerRow kShiftedClockHandlers[] = {{__NR_clock_gettime, clock_gettime},
                                            {__NR_timerfd_settime, timerfd_settime},
                                            {__NR_timer_settime, timer_settime},
                                            {__NR_getrusage, getrusage},
                                            {__NR_times, times},
                                            {__NR_sysinfo, sysinfo},
                                            {0, nullptr}};

}  // namespace cairn::runtime
