#include "resources/clocks.h"

#include <sys/resource.h>
#include <sys/syscall.h>

namespace cairn::resources {
namespace {

struct CpuTimes {
  std::int64_t process;
  std::int64_t user;
  std::int64_t system;
  std::int64_t children_user;
  std::int64_t children_system;
};

// Asked by the process itself: its own clocks, whatever pid it has.
Result<CpuTimes> cpu_times(RemoteProcess& process) {
  CAIRN_ASSIGN(const auto time, process.scratch_object(timespec{}));
  CAIRN_ASSIGN(const auto usage, process.scratch_object(rusage{}));
  CAIRN_TRY(process.syscall(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, time.address()));
  CAIRN_TRY(process.syscall(SYS_getrusage, RUSAGE_SELF, usage.address()));
  CAIRN_ASSIGN(const auto of_children, process.scratch_object(rusage{}));
  CAIRN_TRY(process.syscall(SYS_getrusage, RUSAGE_CHILDREN, of_children.address()));
  CAIRN_ASSIGN(const auto used, process.read_object<timespec>(time.address()));
  CAIRN_ASSIGN(const auto split, process.read_object<rusage>(usage.address()));
  CAIRN_ASSIGN(const auto children, process.read_object<rusage>(of_children.address()));
  return CpuTimes{nanoseconds(used), nanoseconds(split.ru_utime), nanoseconds(split.ru_stime),
                  nanoseconds(children.ru_utime), nanoseconds(children.ru_stime)};
}

}  // namespace

std::int64_t now(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return nanoseconds(time);
}

ClockReading read_clocks() {
  return {now(CLOCK_MONOTONIC), now(CLOCK_BOOTTIME), now(CLOCK_REALTIME)};
}

Result<> capture_clocks(CaptureContext& context) {
  const auto& state = *context.runtime;
  const auto& moment = context.job.moment;
  auto& clocks = *context.image.mutable_clocks();
  set_nanoseconds(*clocks.mutable_monotonic(), moment.monotonic + state.monotonic_offset_ns);
  set_nanoseconds(*clocks.mutable_boottime(), moment.boottime + state.boottime_offset_ns);
  set_nanoseconds(*clocks.mutable_realtime(), moment.realtime);
  CAIRN_ASSIGN(const auto times, cpu_times(context.process));
  set_nanoseconds(*clocks.mutable_process_cpu(), times.process + state.process_cpu_offset_ns);
  set_nanoseconds(*clocks.mutable_user_cpu(), times.user + state.user_time_offset_ns);
  set_nanoseconds(*clocks.mutable_system_cpu(), times.system + state.system_time_offset_ns);
  set_nanoseconds(*clocks.mutable_children_user_cpu(),
                  times.children_user + state.children_user_offset_ns);
  set_nanoseconds(*clocks.mutable_children_system_cpu(),
                  times.children_system + state.children_system_offset_ns);
  return {};
}

std::int64_t beyond_image(const CaptureContext& context) {
  return now(CLOCK_MONOTONIC) + context.runtime->monotonic_offset_ns -
         nanoseconds(context.image.clocks().monotonic());
}

Result<std::int64_t> beyond_image(RebuildContext& context) {
  CAIRN_ASSIGN(const auto state, context.process.runtime_state());
  return now(CLOCK_MONOTONIC) + state->monotonic_offset_ns -
         nanoseconds(context.image.clocks().monotonic());
}

Result<> set_clock_offsets(RebuildContext& context, abi::RuntimeState& state) {
  const auto& clocks = context.image.clocks();
  CAIRN_ASSIGN(const auto times, cpu_times(context.process));
  state.process_cpu_offset_ns = nanoseconds(clocks.process_cpu()) - times.process;
  state.user_time_offset_ns = nanoseconds(clocks.user_cpu()) - times.user;
  state.system_time_offset_ns = nanoseconds(clocks.system_cpu()) - times.system;
  state.children_user_offset_ns = nanoseconds(clocks.children_user_cpu()) - times.children_user;
  state.children_system_offset_ns =
      nanoseconds(clocks.children_system_cpu()) - times.children_system;
  state.monotonic_offset_ns = nanoseconds(clocks.monotonic()) - context.job.moment.monotonic;
  state.boottime_offset_ns = nanoseconds(clocks.boottime()) - context.job.moment.boottime;
  return {};
}

}  // namespace cairn::resources
