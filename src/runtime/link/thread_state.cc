#include "runtime/link/thread_state.h"

#include "runtime/handlers/api.h"
#include "runtime/handlers/dispatch.h"
#include "runtime/handlers/registrations.h"
#include "runtime/handlers/socket_timeouts.h"
#include "runtime/host/clocks.h"
#include "runtime/host/job.h"
#include "runtime/host/support.h"
#include "runtime/intercept/cpu_view.h"
#include "runtime/intercept/deliver.h"
#include "runtime/intercept/door.h"
#include "runtime/intercept/text.h"
#include "runtime/intercept/vdso.h"
#include "runtime/link/server.h"
#include "runtime/loader/start.h"
#include "runtime/park/park.h"
#include "runtime/restorer/ids.h"
#include "runtime/restorer/make_threads.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint32_t kRuntimeStateVersion = 1;
abi::RuntimeState g_restored;

bool parked_with(const ThreadBlock* server, const ThreadBlock* t) {
  return t->in_use != 0 && t->process == server->process && t->parked != 0 &&
         t->parked == server->parked;
}

void fill(const ThreadBlock* t, abi::ThreadState* out) {
  memset(out, 0, sizeof(*out));
  out->real_tid = t->real_tid;
  out->virtual_tid = t->virtual_tid;
  memcpy(out->regs, t->parked_context->mcontext.regs, sizeof(out->regs));
  out->fs_base = t->fs_base;
  out->signal_mask = t->guest_mask;
  out->altstack_pointer = t->altstack_pointer;
  out->altstack_size = t->altstack_size;
  out->altstack_flags = t->altstack_flags;
  out->xsave_bytes = static_cast<std::uint32_t>(fpstate_bytes(t->parked_context->mcontext.fpstate));
  out->robust_list = t->robust_list;
  out->robust_list_bytes = t->robust_list_bytes;
  out->clear_child_tid = t->clear_child_tid;
  out->rseq_address = t->rseq_address;
  out->rseq_bytes = t->rseq_bytes;
  out->rseq_signature = t->rseq_signature;
  out->interrupted = t->interrupted;
  out->cpu_clock_offset_ns = t->cpu_clock_offset_ns;
  out->user_time_offset_ns = t->user_time_offset_ns;
  out->system_time_offset_ns = t->system_time_offset_ns;
  out->strict = t->strict;
  out->filters = reinterpret_cast<std::uint64_t>(t->filters);
}

void wake(std::uint32_t* word) {
  (void)sys::call(__NR_futex, sys::address(word), 1, 0x7fffffff);
}

// A parked thread waits on its slot's freeze_word, which stays as it is.
void wake_parked(ThreadBlock* server, const ThreadBlock* thread) {
  constexpr std::uint64_t kFutexWakeBitset = 10;
  if (abi::ProcessSlot* slot = slot_of(server->process))
    (void)sys::call(__NR_futex, sys::address(&slot->freeze_word), kFutexWakeBitset, 0x7fffffff, 0,
                    0, park_bit(thread));
}

// It may have looked at its block just before and gone to sleep after the wake-up: it is woken
// again.
void wait_for_calls(ThreadBlock* server, ThreadBlock* thread) {
  while (__atomic_load_n(&thread->park_word, __ATOMIC_ACQUIRE) == 1) {
    Timespec pause{0, 10'000'000};
    auto slept =
        sys::call(__NR_futex, sys::address(&thread->park_word), 0, 1, sys::address(&pause));
    if (slept.raw != -kETIMEDOUT) continue;
    wake_parked(server, thread);
    wake(&thread->park_word);
  }
}

}  // namespace

std::uint64_t fpstate_bytes(std::uint64_t fpstate) {
  if (fpstate == 0) return 0;
  auto* software = reinterpret_cast<const FpSoftwareBytes*>(fpstate + kFpSoftwareOffset);
  return software->magic1 == kFpMagic1 ? software->extended_size : kFpLegacyBytes;
}

ThreadBlock* linked_thread(abi::LinkPurpose purpose, std::int32_t tid) {
  if (purpose == abi::LinkPurpose::kRestore) return made_thread(tid);
  for (std::uint32_t i = 0; i < block_count(); ++i) {
    ThreadBlock* t = block_at(i);
    if (t->in_use != 0 && t->real_tid == tid && t->parked != 0) return t;
  }
  return nullptr;
}

void run_on_others(ThreadBlock* server, abi::LinkPurpose purpose, abi::LinkSyscall* calls,
                   std::uint64_t count) {
  std::uint64_t next = 0;
  for (std::uint64_t i = 0; i < count; i = next) {
    for (next = i + 1; next < count && calls[next].tid == calls[i].tid;) ++next;
    ThreadBlock* thread = linked_thread(purpose, calls[i].tid);
    for (std::uint64_t k = i; thread == nullptr && k < next; ++k) calls[k].result = -kESRCH;
    if (thread == nullptr) continue;
    wait_for_calls(server, thread);  // of an earlier run of its calls
    thread->park_calls = &calls[i];
    thread->park_call_count = next - i;
    __atomic_store_n(&thread->park_word, 1, __ATOMIC_RELEASE);
    if (purpose == abi::LinkPurpose::kRestore)
      wake(&thread->park_word);
    else
      wake_parked(server, thread);
  }
  for (std::uint64_t i = 0; i < count; ++i)
    if (ThreadBlock* thread = linked_thread(purpose, calls[i].tid)) wait_for_calls(server, thread);
}

void run_thread_calls(ThreadBlock* t) {
  if (__atomic_load_n(&t->park_word, __ATOMIC_ACQUIRE) != 1) return;
  for (std::uint64_t i = 0; i < t->park_call_count; ++i) {
    abi::LinkSyscall& c = t->park_calls[i];
    c.result =
        sys::call(c.number, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5]).raw;
  }
  __atomic_store_n(&t->park_word, 0, __ATOMIC_RELEASE);
  wake(&t->park_word);
}

std::uint64_t list_threads(ThreadBlock* server, abi::ThreadState* out) {
  std::uint64_t count = 0;
  fill(server, &out[count++]);
  for (std::uint32_t i = 0; i < block_count(); ++i)
    if (block_at(i) != server && parked_with(server, block_at(i))) fill(block_at(i), &out[count++]);
  return count;
}

void get_runtime_state(abi::RuntimeState* out) {
  memset(out, 0, sizeof(*out));
  ThreadBlock* t = current();
  out->version = kRuntimeStateVersion;
  out->virtual_pid = t->process->virtual_pid;
  out->real_pid = t->process->real_pid;
  for (int signal = 1; signal <= 64; ++signal)
    out->actions[signal] = read_action(t->sighand, signal);
  out->monotonic_offset_ns = g_clocks.monotonic_ns;
  out->boottime_offset_ns = g_clocks.boottime_ns;
  out->process_cpu_offset_ns = g_clocks.process_cpu_ns;
  out->user_time_offset_ns = g_clocks.user_ns;
  out->system_time_offset_ns = g_clocks.system_ns;
  out->children_user_offset_ns = g_clocks.children_user_ns;
  out->children_system_offset_ns = g_clocks.children_system_ns;
  out->start_ticks = static_cast<std::uint64_t>(g_clocks.start_ticks);
  out->virtual_parent = to_virtual(static_cast<std::int32_t>(sys::call(__NR_getppid).raw));
  out->virtual_group = to_virtual_group(static_cast<std::int32_t>(sys::call(__NR_getpgid, 0).raw));
  out->seccomp_door =
      (seccomp_installed() ? abi::kFilterIsDoors : 0) |
      (guest_has_no_new_privs(*t->process) ? 0 : abi::kNoNewPrivsIsNotGuests);
  out->cpu_view_leaks = cpu_view_leaks() ? 1 : 0;
  out->virtual_session = to_virtual_group(static_cast<std::int32_t>(sys::call(__NR_getsid, 0).raw));
  get_left_out(out);
  out->guest_vdso = guest_vdso();
  out->static_program = static_program() ? 1 : 0;
  out->socket_timeouts = socket_timeouts_armed() ? 1 : 0;
  out->membarrier = membarrier_registrations();
  out->lock_future = lock_future_flags();
  out->stub_blocks = list_stub_blocks(out->stub_block, sizeof(out->stub_block) / 8);
  string_copy(out->executable, sizeof(out->executable), g_executable);
}

std::int32_t set_runtime_state(const abi::RuntimeState& state) {
  if (state.version != kRuntimeStateVersion) return -kEINVAL;
  g_restored = state;
  g_process.virtual_pid = state.virtual_pid;
  for (int signal = 1; signal <= 64; ++signal) {
    g_sighand.actions[signal] = state.actions[signal];
    if (signal == kSigkill || signal == kSigstop) continue;
    auto installed = install_action(signal, state.actions[signal]);
    if (!installed.ok()) return static_cast<std::int32_t>(installed.raw);
  }
  set_clocks({state.monotonic_offset_ns, state.boottime_offset_ns, state.process_cpu_offset_ns,
              state.user_time_offset_ns, state.system_time_offset_ns, state.children_user_offset_ns,
              state.children_system_offset_ns, static_cast<std::int64_t>(state.start_ticks)});
  set_static_program(state.static_program != 0);
  restore_cpu_view(state.cpu_view_leaks != 0);
  set_left_out(state);
  string_copy(g_executable, sizeof(g_executable), state.executable);
  set_registrations(state.membarrier, state.lock_future);
  if (state.socket_timeouts != 0) arm_socket_timeouts();
  if ((state.seccomp_door & abi::kNoNewPrivsIsNotGuests) == 0)
    g_process.no_new_privs_is_ours = false;
  return 0;
}

const abi::RuntimeState& restored_runtime_state() {
  return g_restored;
}

}  // namespace cairn::runtime
