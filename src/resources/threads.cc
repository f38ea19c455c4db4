#include "resources/threads.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/files.h"
#include "resources/clocks.h"
#include "resources/memory_policy.h"
#include "resources/seccomp_filters.h"

namespace cairn::resources {
namespace {

constexpr std::size_t kAffinityBytes = 1024;  // 8192 CPUs
constexpr std::uint64_t kDefaultSlack = 50'000;
constexpr int kSpeculationKinds = 3;  // PR_SPEC_STORE_BYPASS, _INDIRECT_BRANCH, _L1D_FLUSH

// struct sched_attr, which the C library and the kernel headers cannot agree on declaring.
struct SchedulingAttributes {
  std::uint32_t size;
  std::uint32_t sched_policy;
  std::uint64_t sched_flags;
  std::int32_t sched_nice;
  std::uint32_t sched_priority;
  std::uint64_t sched_runtime;
  std::uint64_t sched_deadline;
  std::uint64_t sched_period;
};
static_assert(sizeof(SchedulingAttributes) == 48);  // SCHED_ATTR_SIZE_VER0

void describe(const abi::ThreadState& state, image::Thread& record) {
  record.set_tid(state.virtual_tid);
  record.set_registers(std::string(reinterpret_cast<const char*>(state.regs), sizeof state.regs));
  record.set_fs_base(state.fs_base);
  record.set_signal_mask(state.signal_mask);
  record.set_altstack_start(state.altstack_pointer);
  record.set_altstack_bytes(state.altstack_size);
  record.set_altstack_flags(state.altstack_flags);
  record.set_robust_list(state.robust_list);
  record.set_robust_list_bytes(state.robust_list_bytes);
  record.set_clear_child_tid(state.clear_child_tid);
  record.set_rseq(state.rseq_address);
  record.set_rseq_bytes(state.rseq_bytes);
  record.set_rseq_signature(state.rseq_signature);
  // What no field above tells: the interrupted call, pending virtual signals.
  record.set_runtime(std::string(reinterpret_cast<const char*>(&state), sizeof state));
}

Result<abi::ThreadState> state_of(const image::Thread& record) {
  abi::ThreadState state{};
  if (record.runtime().size() != sizeof state || record.registers().size() != sizeof state.regs)
    return refusal(fmt::format("the image's thread {} is of another format", record.tid()));
  std::memcpy(&state, record.runtime().data(), sizeof state);
  std::memcpy(state.regs, record.registers().data(), sizeof state.regs);
  state.real_tid = 0;
  state.virtual_tid = record.tid();
  state.fs_base = record.fs_base();
  state.signal_mask = record.signal_mask();
  state.altstack_pointer = record.altstack_start();
  state.altstack_size = record.altstack_bytes();
  state.altstack_flags = record.altstack_flags();
  state.xsave_bytes = static_cast<std::uint32_t>(record.xsave().size());
  state.robust_list = record.robust_list();
  state.robust_list_bytes = record.robust_list_bytes();
  state.clear_child_tid = record.clear_child_tid();
  state.rseq_address = record.rseq();
  state.rseq_bytes = record.rseq_bytes();
  state.rseq_signature = record.rseq_signature();
  // The new thread's CPU clock stands near 0: what it had used is its offset.
  state.cpu_clock_offset_ns = nanoseconds(record.cpu_time());
  return state;
}

Result<> capture_scheduling(std::int32_t tid, image::Thread& record) {
  SchedulingAttributes attributes{};
  if (::syscall(SYS_sched_getattr, tid, &attributes, sizeof attributes, 0) != 0)
    return os_failure("read the scheduling of thread", std::to_string(tid));
  record.set_policy(static_cast<std::int32_t>(attributes.sched_policy));
  record.set_priority(static_cast<std::int32_t>(attributes.sched_priority));
  // Not the attributes' own: they tell it of usual policies only, and each thread has one.
  errno = 0;
  record.set_nice(::getpriority(PRIO_PROCESS, static_cast<id_t>(tid)));
  if (errno != 0) return os_failure("read the nice value of thread", std::to_string(tid));
  record.set_scheduling_flags(attributes.sched_flags);
  record.set_deadline_runtime(attributes.sched_runtime);
  record.set_deadline_deadline(attributes.sched_deadline);
  record.set_deadline_period(attributes.sched_period);
  std::string mask(kAffinityBytes, '\0');
  const long bytes = ::syscall(SYS_sched_getaffinity, tid, mask.size(), mask.data());
  if (bytes < 0) return os_failure("read the CPU mask of thread", std::to_string(tid));
  mask.resize(static_cast<std::size_t>(bytes));
  record.set_affinity(std::move(mask));
  // Of a thread that has none set, kernels before 5.15 report a level, which they and later ones refuse.
  const long io = std::max(::syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, tid), 0L);
  record.set_io_priority(IOPRIO_PRIO_CLASS(io) == IOPRIO_CLASS_NONE ? 0 : static_cast<std::int32_t>(io));
  return {};
}

// What only the thread itself may ask.
Result<> ask_thread(CaptureContext& context, abi::ThreadState& state, image::Thread& record) {
  const auto tid = state.real_tid;
  CAIRN_ASSIGN(const auto signal, context.process.scratch_object(std::int32_t{0}));
  CAIRN_ASSIGN(const auto time, context.process.scratch_object(timespec{}));
  CAIRN_ASSIGN(const auto usage, context.process.scratch_object(rusage{}));
  std::array calls{
      RemoteProcess::make_call(tid, SYS_prctl, PR_GET_TIMERSLACK),
      RemoteProcess::make_call(tid, SYS_prctl, PR_GET_PDEATHSIG, signal.address()),
      RemoteProcess::make_call(tid, SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, time.address()),
      RemoteProcess::make_call(tid, SYS_getrusage, RUSAGE_THREAD, usage.address()),
  };
  CAIRN_TRY(context.process.syscalls_all_ok(calls, "ask a thread for its attributes"));
  std::vector<abi::LinkSyscall> speculation;
  for (int kind = 0; kind < kSpeculationKinds; ++kind)
    speculation.push_back(RemoteProcess::make_call(tid, SYS_prctl, PR_GET_SPECULATION_CTRL, kind, 0, 0, 0));
  CAIRN_TRY(context.process.syscalls(speculation));
  for (const auto& call : speculation)
    record.add_speculation(static_cast<std::int32_t>(std::max<std::int64_t>(call.result, 0)));
  record.set_timer_slack(static_cast<std::uint64_t>(calls[0].result));
  CAIRN_ASSIGN(const auto death, context.process.read_object<std::int32_t>(signal.address()));
  record.set_parent_death_signal(death);
  CAIRN_ASSIGN(const auto used, context.process.read_object<timespec>(time.address()));
  set_nanoseconds(*record.mutable_cpu_time(), nanoseconds(used) + state.cpu_clock_offset_ns);
  CAIRN_ASSIGN(const auto split, context.process.read_object<rusage>(usage.address()));
  state.user_time_offset_ns += nanoseconds(split.ru_utime);
  state.system_time_offset_ns += nanoseconds(split.ru_stime);
  return {};
}

// A saved mask that this machine lacks: the CPUs that are allowed here.
void restore_affinity(std::int32_t tid, const std::string& saved) {
  std::string allowed(kAffinityBytes, '\0');
  const long bytes = ::syscall(SYS_sched_getaffinity, tid, allowed.size(), allowed.data());
  if (bytes <= 0) return;
  allowed.resize(static_cast<std::size_t>(bytes));
  std::string both(allowed);
  bool any = false;
  for (std::size_t i = 0; i < both.size(); ++i) {
    both[i] = static_cast<char>(both[i] & (i < saved.size() ? saved[i] : 0));
    any = any || both[i] != 0;
  }
  if (any && both != allowed) (void)::syscall(SYS_sched_setaffinity, tid, both.size(), both.data());
}

// A mitigation that a thread has asked for; a machine that does not know it does not need it.
Result<> restore_speculation(RebuildContext& context, int index) {
  constexpr std::int32_t kAsked = PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE | PR_SPEC_DISABLE_NOEXEC;
  const auto& record = context.image.threads(index);
  std::vector<abi::LinkSyscall> calls;
  for (int kind = 0; kind < record.speculation_size(); ++kind) {
    const auto state = record.speculation(kind);
    if ((state & PR_SPEC_PRCTL) != 0 && (state & kAsked) != 0)
      calls.push_back(RemoteProcess::make_call(index, SYS_prctl, PR_SET_SPECULATION_CTRL, kind,
                                               state & kAsked, 0, 0));
  }
  return context.process.syscalls(calls);
}

Result<> restore_scheduling(std::int32_t tid, const image::Thread& record) {
  SchedulingAttributes now{};
  if (::syscall(SYS_sched_getattr, tid, &now, sizeof now, 0) != 0)
    return os_failure("read the scheduling of thread", std::to_string(tid));
  SchedulingAttributes wanted{};
  wanted.size = sizeof wanted;
  wanted.sched_policy = static_cast<std::uint32_t>(record.policy());
  wanted.sched_priority = static_cast<std::uint32_t>(record.priority());
  wanted.sched_nice = record.nice();
  wanted.sched_flags = record.scheduling_flags();
  wanted.sched_runtime = record.deadline_runtime();
  wanted.sched_deadline = record.deadline_deadline();
  wanted.sched_period = record.deadline_period();
  const bool same =
      now.sched_policy == wanted.sched_policy && now.sched_priority == wanted.sched_priority &&
      now.sched_flags == wanted.sched_flags && now.sched_runtime == wanted.sched_runtime;
  if (!same && ::syscall(SYS_sched_setattr, tid, &wanted, 0) != 0)
    return os_failure(fmt::format("give thread {} its scheduling (policy {}, priority {}, nice {})",
                                  record.tid(), record.policy(), record.priority(), record.nice()));
  // sched_setattr ignores the nice value of SCHED_IDLE and of the real-time policies.
  const auto who = static_cast<id_t>(tid);
  if (::getpriority(PRIO_PROCESS, who) != record.nice() &&
      ::setpriority(PRIO_PROCESS, who, record.nice()) != 0)
    return os_failure(fmt::format("give thread {} its nice value {}", record.tid(), record.nice()));
  restore_affinity(tid, record.affinity());
  const long io = ::syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, tid);
  if (record.io_priority() != io &&
      ::syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, tid, record.io_priority()) != 0)
    return os_failure("give a thread its I/O priority", std::to_string(record.tid()));
  return {};
}

Result<> capture_name(CaptureContext& context, std::int32_t tid, image::Thread& record) {
  CAIRN_ASSIGN(auto name,
               read_text_file(context.process.proc_path(fmt::format("task/{}/comm", tid))));
  if (name.ends_with('\n')) name.pop_back();
  record.set_name(std::move(name));
  return {};
}

// A first thread that has ended before the others stays until they have, as a name, an id and an
// exit status. It comes back as a thread that ends at once.
Result<> capture_ended_leader(CaptureContext& context) {
  const auto pid = context.process.pid().value;
  auto& record = *context.image.add_threads();
  abi::ThreadState state{};
  state.virtual_tid = context.runtime->virtual_pid;
  CAIRN_ASSIGN(const auto stat, read_text_file(fmt::format("/proc/{}/stat", pid)));
  // The last field of all is the exit code as wait() gives it.
  const auto code = std::strtoul(stat.substr(stat.rfind(' ') + 1).c_str(), nullptr, 10);
  state.ended = 1 + ((code >> 8) & 0xff);
  describe(state, record);
  CAIRN_TRY(capture_name(context, pid, record));
  record.set_timer_slack(kDefaultSlack);
  return capture_scheduling(pid, record);
}

}  // namespace

Result<> capture_threads(CaptureContext& context) {
  // The leader first, whichever thread serves us.
  auto threads = context.threads;
  const auto pid = context.process.pid().value;
  std::stable_sort(threads.begin(), threads.end(), [&](const auto& a, const auto& b) {
    return (a.real_tid == pid) > (b.real_tid == pid);
  });
  if (threads.empty() || threads.front().real_tid != pid) CAIRN_TRY(capture_ended_leader(context));
  for (auto& state : threads) {
    auto& record = *context.image.add_threads();
    CAIRN_TRY(ask_thread(context, state, record));
    describe(state, record);
    CAIRN_ASSIGN(const auto xsave, context.process.xsave(state.real_tid));
    record.set_xsave(std::string(reinterpret_cast<const char*>(xsave.data()), xsave.size()));
    CAIRN_TRY(capture_name(context, state.real_tid, record));
    CAIRN_TRY(capture_scheduling(state.real_tid, record));
  }
  CAIRN_TRY(capture_thread_policies(context));
  return capture_seccomp_filters(context);
}

Result<> make_threads(RebuildContext& context) {
  std::vector<abi::ThreadState> states;
  for (const auto& record : context.image.threads()) {
    CAIRN_ASSIGN(const auto state, state_of(record));
    states.push_back(state);
  }
  CAIRN_TRY(context.process.make_threads(states));
  for (int i = 0; i < context.image.threads_size(); ++i) {
    CAIRN_ASSIGN(const auto tid, context.process.syscall_on(i, SYS_gettid));
    context.thread_ids.push_back(static_cast<std::int32_t>(tid));
    const auto& xsave = context.image.threads(i).xsave();
    const std::span area(reinterpret_cast<const std::byte*>(xsave.data()), xsave.size());
    if (!area.empty()) CAIRN_TRY(context.process.put_xsave(static_cast<std::uint32_t>(i), area));
  }
  return {};
}

Result<> restore_thread_attributes(RebuildContext& context) {
  for (int i = 0; i < context.image.threads_size(); ++i) {
    const auto& record = context.image.threads(i);
    CAIRN_ASSIGN(const auto name, context.process.scratch_text(record.name()));
    std::vector<abi::LinkSyscall> calls{
        RemoteProcess::make_call(i, SYS_prctl, PR_SET_NAME, name.address()),
        RemoteProcess::make_call(i, SYS_prctl, PR_SET_PDEATHSIG, record.parent_death_signal())};
    if (record.timer_slack() != kDefaultSlack)
      calls.push_back(RemoteProcess::make_call(i, SYS_prctl, PR_SET_TIMERSLACK, record.timer_slack()));
    CAIRN_TRY(context.process.syscalls_all_ok(calls, "give a thread its attributes"));
    CAIRN_TRY(restore_speculation(context, i));
    CAIRN_TRY(restore_scheduling(context.thread_ids[static_cast<std::size_t>(i)], record));
  }
  CAIRN_TRY(restore_thread_policies(context));
  return restore_seccomp_filters(context);
}

std::int32_t RebuildJob::real_tid(std::int32_t virtual_tid) const {
  for (const auto& member : members) {
    if (member.image.pid() == virtual_tid) return member.process.pid().value;
    if (const auto tid = member.real_tid(virtual_tid); tid != 0) return tid;
  }
  return 0;
}

std::int32_t RebuildContext::real_tid(std::int32_t virtual_tid) const {
  for (int i = 0; i < image.threads_size() && i < std::ssize(thread_ids); ++i)
    if (image.threads(i).tid() == virtual_tid) return thread_ids[static_cast<std::size_t>(i)];
  return 0;
}

}  // namespace cairn::resources
