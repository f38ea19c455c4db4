#include "resources/timers.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <functional>
#include <optional>
#include <sstream>

#include "base/files.h"
#include "resources/clocks.h"

namespace cairn::resources {
namespace {

// struct sigevent as the kernel has it: 64 bytes, whatever the libc declares.
struct KernelSigevent {
  std::uint64_t value;
  std::int32_t signal;
  std::int32_t notify;
  std::int32_t tid;
  char padding[64 - 20];
};
static_assert(sizeof(KernelSigevent) == 64);

struct TimerSpec {
  timespec interval;
  timespec value;
};

// A CPU clock's number holds whose it is: ~id << 3 | kind, with id 0 for the caller's own. The same
// clock by another id of its owner; -1 from `translate`: there is none.
std::optional<int> with_owner(int clock,
                              const std::function<std::int32_t(std::int32_t)>& translate) {
  const bool of_descriptor = (clock & 7) == 3;
  if (clock >= 0 || of_descriptor || ~(clock >> 3) == 0) return clock;
  const auto id = translate(~(clock >> 3));
  if (id < 0) return std::nullopt;
  return static_cast<int>(~static_cast<unsigned>(id) << 3) | (clock & 7);
}

void set_state(image::TimerState& record, std::int64_t interval, std::int64_t left) {
  set_nanoseconds(*record.mutable_interval(), interval);
  set_nanoseconds(*record.mutable_left(), left);
}

timespec time_of(const image::TimeSpec& record) {
  return {record.seconds(), static_cast<long>(record.nanoseconds())};
}

timespec time_of(std::int64_t ns) {
  return {ns / kNanosecondsPerSecond, ns % kNanosecondsPerSecond};
}

// CPU clocks stand still while nothing of the guest runs.
bool follows_monotonic(std::int32_t clock) {
  return clock >= 0 && clock != CLOCK_PROCESS_CPUTIME_ID && clock != CLOCK_THREAD_CPUTIME_ID;
}

// What is left of a timer that was read just now; 0 stays 0, a disarmed timer's.
std::int64_t left_in_image(const CaptureContext& context, std::int64_t left, bool monotonic) {
  return left == 0 || !monotonic ? left : left + beyond_image(context);
}

// What is left of it for the kernel.
Result<std::int64_t> left_now(RebuildContext& context, std::int64_t left, bool monotonic) {
  if (left == 0 || !monotonic) return left;
  CAIRN_ASSIGN(const auto gone, beyond_image(context));
  return std::max<std::int64_t>(left - gone, 1);
}

// The four lines of one timer in /proc/PID/timers:
//   ID: 0 / signal: 14/0000000000000000 / notify: signal/pid.4711 / ClockID: 0
Result<> parse_timer(CaptureContext& context, std::istringstream& lines, int id,
                     image::PosixTimer& record) {
  KernelSigevent event{};
  unsigned long long value = 0;
  char how[16] = {};
  char whom[8] = {};
  int target = 0;
  int clock = 0;
  std::string line;
  if (!std::getline(lines, line) ||
      std::sscanf(line.c_str(), "signal: %d/%llx", &event.signal, &value) != 2 ||
      !std::getline(lines, line) ||
      std::sscanf(line.c_str(), "notify: %15[^/]/%7[^.].%d", how, whom, &target) != 3 ||
      !std::getline(lines, line) || std::sscanf(line.c_str(), "ClockID: %d", &clock) != 1)
    return refusal(fmt::format("read the timer {} of process {}", id,
                               context.process.pid().value));
  event.value = value;
  event.notify = std::strcmp(how, "none") == 0     ? SIGEV_NONE
                 : std::strcmp(how, "thread") == 0 ? SIGEV_THREAD
                                                   : SIGEV_SIGNAL;
  if (std::strcmp(whom, "tid") == 0) {
    event.notify |= SIGEV_THREAD_ID;
    const auto found = std::find_if(context.threads.begin(), context.threads.end(),
                                    [&](const auto& thread) { return thread.real_tid == target; });
    // The thread may have ended: the timer is there and does nothing.
    event.tid = found == context.threads.end() ? 0 : found->virtual_tid;
  }
  const auto known = with_owner(clock, [&](std::int32_t owner) {
    const auto known_as = context.job.virtual_id(owner);
    return known_as != 0 ? known_as : -1;
  });
  if (!known)
    return refusal(fmt::format(
        "timer {} on the CPU clock of a process outside of the job, or of a thread that "
        "has ended, cannot be saved",
        id));
  record.set_id(id);
  record.set_clock(*known);
  record.set_sigevent(std::string(reinterpret_cast<const char*>(&event), sizeof event));
  CAIRN_ASSIGN(const auto place, context.process.scratch_object(TimerSpec{}));
  CAIRN_TRY(context.process.syscall(SYS_timer_gettime, id, place.address()));
  CAIRN_ASSIGN(const auto spec, context.process.read_object<TimerSpec>(place.address()));
  set_state(*record.mutable_state(), nanoseconds(spec.interval),
            left_in_image(context, nanoseconds(spec.value), follows_monotonic(clock)));
  CAIRN_ASSIGN(const auto overrun, context.process.syscall(SYS_timer_getoverrun, id));
  record.set_overrun(static_cast<std::int32_t>(overrun));
  return {};
}

// The kernel numbers the timers of a process upwards: those that were deleted before are made and
// deleted again, until the number is reached.
Result<> create_with_id(RebuildContext& context, const image::PosixTimer& record,
                        std::uint64_t event, std::uint64_t id_place) {
  auto& process = context.process;
  const auto clock = with_owner(record.clock(), [&](std::int32_t owner) {
    const auto tid = context.job.real_tid(owner);
    return tid != 0 ? tid : -1;
  });
  if (!clock)
    return refusal(
        fmt::format("timer {} is on the clock of a thread that is not there", record.id()));
  for (;;) {
    CAIRN_TRY(process.syscall(SYS_timer_create, *clock, event, id_place));
    CAIRN_ASSIGN(const auto id, process.read_object<std::int32_t>(id_place));
    if (id == record.id()) return {};
    CAIRN_TRY(process.syscall(SYS_timer_delete, id));
    if (id > record.id())
      return refusal(fmt::format("timer {} cannot have its number again", record.id()));
    const int missing = record.id() - id - 1;
    // timer_delete needs the number, and these are known: they follow each other.
    std::vector<abi::LinkSyscall> calls;
    for (int next = id + 1; next <= id + missing; ++next) {
      calls.push_back(RemoteProcess::make_call(0, SYS_timer_create, *clock, event, id_place));
      calls.push_back(RemoteProcess::make_call(0, SYS_timer_delete, next));
    }
    CAIRN_TRY(process.syscalls_all_ok(calls, "count up to a timer's number"));
  }
}

// The fields of a timer's siginfo, as the kernel lays them out.
struct TimerInfo {
  std::int32_t signal, error, code, padding;
  std::int32_t timer;
  std::int32_t overrun;
};

std::optional<TimerInfo> timer_info(std::span<const std::byte> siginfo) {
  TimerInfo info{};
  std::memcpy(&info, siginfo.data(), sizeof info);
  if (info.code != SI_TIMER) return std::nullopt;
  return info;
}

// CPU clocks begin anew with the process, and what expired on them lies before that.
bool counts_overruns(const image::PosixTimer& record, const TimerInfo& info) {
  return record.id() == info.timer && nanoseconds(record.state().interval()) > 0 &&
         follows_monotonic(record.clock());
}

// The overruns of the timer's pending signal; none: it has no pending signal.
std::optional<std::int32_t> pending_overruns(const RebuildContext& context,
                                             const image::PosixTimer& record) {
  const auto of = [&](const auto& list) -> std::optional<std::int32_t> {
    for (const std::string& bytes : list) {
      if (bytes.size() < sizeof(TimerInfo)) continue;
      const auto info = timer_info(std::as_bytes(std::span(bytes)));
      if (info && counts_overruns(record, *info)) return info->overrun;
    }
    return std::nullopt;
  };
  if (const auto found = of(context.image.signals().pending())) return found;
  for (const auto& thread : context.image.threads())
    if (const auto found = of(thread.pending())) return found;
  return std::nullopt;
}

Result<> set_to(RemoteProcess& process, const PendingExpiration& pending) {
  const TimerSpec spec{time_of(pending.interval), time_of(std::max<std::int64_t>(pending.first, 1))};
  CAIRN_ASSIGN(const auto place, process.scratch_object(spec));
  CAIRN_TRY(process.syscall(SYS_timer_settime, pending.timer, TIMER_ABSTIME, place.address(), 0));
  return {};
}

}  // namespace

Result<std::optional<PendingExpiration>> stop_at_pending(CaptureContext& context,
                                                         std::span<const std::byte> siginfo) {
  const auto info = timer_info(siginfo);
  if (!info) return std::nullopt;
  auto& timers = *context.image.mutable_posix_timers();
  const auto record = std::find_if(timers.begin(), timers.end(),
                                   [&](const auto& one) { return counts_overruns(one, *info); });
  if (record == timers.end()) return std::nullopt;
  CAIRN_ASSIGN(const auto none, context.process.scratch_object(TimerSpec{}));
  CAIRN_ASSIGN(const auto before, context.process.scratch_object(TimerSpec{}));
  CAIRN_ASSIGN(const auto time, context.process.scratch_object(timespec{}));
  std::array calls{RemoteProcess::make_call(0, SYS_timer_settime, info->timer, 0, none.address(),
                                            before.address()),
                   RemoteProcess::make_call(0, SYS_clock_gettime, record->clock(), time.address())};
  CAIRN_TRY(context.process.syscalls_all_ok(calls, "stop a timer whose signal is pending"));
  CAIRN_ASSIGN(const auto spec, context.process.read_object<TimerSpec>(before.address()));
  CAIRN_ASSIGN(const auto clock, context.process.read_object<timespec>(time.address()));
  const auto left = nanoseconds(spec.value);
  set_nanoseconds(*record->mutable_state()->mutable_left(), left_in_image(context, left, true));
  const auto interval = nanoseconds(record->state().interval());
  return PendingExpiration{info->timer, interval,
                           nanoseconds(clock) + left - (std::int64_t{info->overrun} + 1) * interval};
}

Result<> expire_again(CaptureContext& context, const PendingExpiration& pending) {
  return set_to(context.process, pending);
}

bool is_expiration(const RebuildContext& context, std::span<const std::byte> siginfo) {
  const auto info = timer_info(siginfo);
  const auto& timers = context.image.posix_timers();
  return info && std::any_of(timers.begin(), timers.end(), [&](const auto& record) {
           return counts_overruns(record, *info) && nanoseconds(record.state().left()) != 0;
         });
}

Result<> capture_timers(CaptureContext& context) {
  for (const int which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) {
    CAIRN_ASSIGN(const auto place, context.process.scratch_object(itimerval{}));
    CAIRN_TRY(context.process.syscall(SYS_getitimer, which, place.address()));
    CAIRN_ASSIGN(const auto value, context.process.read_object<itimerval>(place.address()));
    const auto interval = nanoseconds(value.it_interval);
    auto left = nanoseconds(value.it_value);
    if (left == 0 && interval == 0) continue;
    // Its signal is pending: the kernel lets the timer go on when that is taken.
    if (left == 0) left = interval;
    auto& record = *context.image.add_interval_timers();
    record.set_which(which);
    set_state(*record.mutable_state(), interval,
              left_in_image(context, left, which == ITIMER_REAL));
  }
  // Without CONFIG_CHECKPOINT_RESTORE the file is missing, and with it all knowledge of timers.
  CAIRN_ASSIGN(const auto text, read_text_file(context.process.proc_path("timers")));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    int id = 0;
    if (std::sscanf(line.c_str(), "ID: %d", &id) == 1)
      CAIRN_TRY(parse_timer(context, lines, id, *context.image.add_posix_timers()));
  }
  return {};
}

Result<> create_posix_timers(RebuildContext& context) {
  std::vector<const image::PosixTimer*> timers;
  for (const auto& record : context.image.posix_timers()) timers.push_back(&record);
  std::sort(timers.begin(), timers.end(),
            [](const auto* a, const auto* b) { return a->id() < b->id(); });
  for (const auto* record : timers) {
    KernelSigevent event{};
    if (record->sigevent().size() != sizeof event)
      return refusal(fmt::format("timer {} of the image is of another format", record->id()));
    std::memcpy(&event, record->sigevent().data(), sizeof event);
    if (event.notify & SIGEV_THREAD_ID) {
      event.tid = context.real_tid(event.tid);
      if (event.tid == 0) {  // its thread has ended: it may not signal anybody
        event.notify = SIGEV_NONE;
      }
    }
    CAIRN_ASSIGN(const auto event_place, context.process.scratch_object(event));
    CAIRN_ASSIGN(const auto id_place, context.process.scratch_object(std::int32_t{0}));
    CAIRN_TRY(create_with_id(context, *record, event_place.address(), id_place.address()));
  }
  return {};
}

Result<> start_timers(RebuildContext& context) {
  for (const auto& record : context.image.posix_timers()) {
    if (nanoseconds(record.state().left()) == 0) continue;
    CAIRN_ASSIGN(const auto left, left_now(context, nanoseconds(record.state().left()),
                                           follows_monotonic(record.clock())));
    if (const auto overruns = pending_overruns(context, record)) {
      const auto interval = nanoseconds(record.state().interval());
      const auto first = now(record.clock()) + left - (std::int64_t{*overruns} + 1) * interval;
      CAIRN_TRY(set_to(context.process, {record.id(), interval, first}));
      continue;
    }
    const TimerSpec spec{time_of(record.state().interval()), time_of(left)};
    CAIRN_ASSIGN(const auto place, context.process.scratch_object(spec));
    CAIRN_TRY(context.process.syscall(SYS_timer_settime, record.id(), 0, place.address(), 0));
  }
  for (const auto& record : context.image.interval_timers()) {
    const auto interval = time_of(record.state().interval());
    CAIRN_ASSIGN(const auto left_ns, left_now(context, nanoseconds(record.state().left()),
                                              record.which() == ITIMER_REAL));
    const auto left = time_of(left_ns);
    const itimerval value{{interval.tv_sec, interval.tv_nsec / 1000},
                          {left.tv_sec, (left.tv_nsec + 999) / 1000}};  // never 0: that disarms
    CAIRN_ASSIGN(const auto place, context.process.scratch_object(value));
    CAIRN_TRY(context.process.syscall(SYS_setitimer, record.which(), place.address(), 0));
  }
  return {};
}

}  // namespace cairn::resources
