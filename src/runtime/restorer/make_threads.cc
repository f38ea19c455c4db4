// Each thread is made with an empty block, told its state, asked to prepare, and let go:
//
//   server                                   thread
//   make_threads: spawn            ------->  waits on its park_word
//   kSyscalls for it: word = 1     ------->  runs them, word = 0
//   prepare_to_go: word = 2        ------->  FS, robust list, tid address, rseq, door; word = 0
//   go: word = 3                   ------->  rt_sigreturn into the guest
//   (a stopped process is stopped, and continued by somebody, before that)
//
// Where the server stands for a first thread that has ended, it ends itself before any other goes on:
// the second one sees to that (word = 5) and lets the rest go.

#include "runtime/restorer/make_threads.h"

#include "runtime/handlers/dispatch.h"
#include "runtime/host/job.h"
#include "runtime/host/support.h"
#include "runtime/intercept/boundary.h"
#include "runtime/intercept/cpu_view.h"
#include "runtime/intercept/door.h"
#include "runtime/intercept/entry.h"
#include "runtime/intercept/extended_state.h"
#include "runtime/intercept/text.h"
#include "runtime/intercept/vdso.h"
#include "runtime/link/server.h"
#include "runtime/link/thread_state.h"
#include "runtime/restorer/ids.h"
#include "runtime/restorer/stop_again.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint32_t kMaxThreads = 32768;
constexpr std::uint32_t kPrepare = 2, kGo = 3, kGoAfterFirst = 5;
constexpr std::uint64_t kThreadFlags = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000;
constexpr std::uint64_t kArchSetFs = 0x1002;
ThreadBlock* g_made[kMaxThreads];
std::uint32_t g_made_count = 0;

// Where the extended state waits for rt_sigreturn: the low end of the signal stack, which is in use
// at its high end only.
std::uint64_t xsave_address(const ThreadBlock* t) { return (t->sigstack + 63) & ~63ULL; }

KernelUcontext* context_of(ThreadBlock* t) { return reinterpret_cast<KernelUcontext*>(t->return_frame); }

void take_state(ThreadBlock* t, const abi::ThreadState& state) {
  t->virtual_tid = state.virtual_tid;
  t->fs_base = state.fs_base;
  t->guest_mask = state.signal_mask;
  t->altstack_pointer = state.altstack_pointer;
  t->altstack_size = state.altstack_size;
  t->altstack_flags = state.altstack_flags;
  t->robust_list = state.robust_list;
  t->robust_list_bytes = state.robust_list_bytes;
  t->clear_child_tid = state.clear_child_tid;
  t->rseq_address = state.rseq_address;
  t->rseq_bytes = state.rseq_bytes;
  t->rseq_signature = state.rseq_signature;
  t->interrupted = state.interrupted;
  t->cpu_clock_offset_ns = state.cpu_clock_offset_ns;
  t->user_time_offset_ns = state.user_time_offset_ns;
  t->system_time_offset_ns = state.system_time_offset_ns;
  t->ended = static_cast<std::uint32_t>(state.ended);
  KernelUcontext* context = context_of(t);
  memset(context, 0, sizeof(*context));
  context->flags = kFrameFlags;
  memcpy(context->mcontext.regs, state.regs, sizeof(state.regs));
}

// The thread's own part; 0 or a negative errno.
std::int32_t prepare(ThreadBlock* t) {
  if (t->ended != 0) {
    (void)sys::call(__NR_set_tid_address, 0);
    return 0;
  }
  auto status = sys::call(__NR_arch_prctl, kArchSetFs, t->fs_base);
  if (status.ok() && t->robust_list != 0)
    status = sys::call(__NR_set_robust_list, t->robust_list, t->robust_list_bytes);
  if (status.ok()) status = sys::call(__NR_set_tid_address, t->clear_child_tid);
  if (status.ok() && t->rseq_address != 0)
    status = sys::call(__NR_rseq, t->rseq_address, t->rseq_bytes, 0, t->rseq_signature);
  if (!status.ok()) return static_cast<std::int32_t>(status.raw);
  KernelUcontext* context = context_of(t);
  context->mask = t->guest_mask & ~kHostSignals;
  leave_boundary(t, context);
  context->stack = {t->sigstack, 0, 0, t->sigstack_bytes};
  arm_thread(t);
  arm_cpu_view();
  return 0;
}

void answer(ThreadBlock* t, std::uint32_t word) {
  __atomic_store_n(&t->park_word, word, __ATOMIC_RELEASE);
  (void)sys::call(__NR_futex, sys::address(&t->park_word), 1, 0x7fffffff);
}

// The state in /proc/PID/stat stands behind the name, which may hold anything.
bool first_thread_has_ended() {
  char text[512];
  auto fd = sys::call(__NR_open, sys::address("/proc/self/stat"), 0x80000);
  if (!fd.ok()) return true;  // nobody can tell, the guest neither
  auto got = sys::call(__NR_read, fd.value(), sys::address(text), sizeof(text));
  (void)sys::call(__NR_close, fd.value());
  std::uint64_t at = got.ok() ? got.value() : 0;
  while (at > 0 && text[at - 1] != ')') --at;
  return at == 0 || text[at + 1] == 'Z' || text[at + 1] == 'X';
}

// The kernel tells nobody of the same process when a thread has become a zombie.
void let_others_go_after_first() {
  while (!first_thread_has_ended()) (void)sys::call(__NR_sched_yield);
  stop_again();
  for (std::uint32_t i = 2; i < g_made_count; ++i) answer(g_made[i], kGo);
}

[[noreturn]] void restored_thread(ThreadBlock* t) {
  set_gs(t);
  t->real_tid = static_cast<std::int32_t>(sys::call(__NR_gettid).raw);
  answer(t, 0);
  for (;;) {
    std::uint32_t word = __atomic_load_n(&t->park_word, __ATOMIC_ACQUIRE);
    if (word == kGoAfterFirst) let_others_go_after_first();
    if (word == kGo || word == kGoAfterFirst) cairn_sigreturn_to(context_of(t));
    if (word == 1) {
      run_thread_calls(t);
    } else if (word == kPrepare) {
      t->result = prepare(t);
      answer(t, 0);
    } else {
      (void)sys::call(__NR_futex, sys::address(&t->park_word), 0, 0, 0);
    }
  }
}

void wait_while(ThreadBlock* t, std::uint32_t word) {
  while (__atomic_load_n(&t->park_word, __ATOMIC_ACQUIRE) == word)
    (void)sys::call(__NR_futex, sys::address(&t->park_word), 0, word, 0);
}

void adopt_guest_memory() {
  const abi::RuntimeState& state = restored_runtime_state();
  set_guest_vdso(state.guest_vdso);
  for (std::uint32_t i = 0; i < state.stub_blocks; ++i) adopt_stub_block(state.stub_block[i]);
}

void bind_group_to(std::int32_t virtual_id, std::int32_t real_id) {
  if (virtual_id > 0 && real_id > 0 && to_virtual_group(real_id) != virtual_id)
    bind_group(virtual_id, real_id);
}

void bind_ids() {
  for (std::uint32_t i = 0; i < g_made_count; ++i)
    if (g_made[i]->virtual_tid != g_made[i]->real_tid)
      bind_id(g_made[i]->virtual_tid, g_made[i]->real_tid);
  if (g_process.virtual_pid != g_process.real_pid && to_real(g_process.virtual_pid) != g_process.real_pid)
    bind_id(g_process.virtual_pid, g_process.real_pid);
  const abi::RuntimeState& state = restored_runtime_state();
  auto parent = static_cast<std::int32_t>(sys::call(__NR_getppid).raw);
  if (state.virtual_parent > 0 && to_virtual(parent) != state.virtual_parent)
    bind_outside(state.virtual_parent, parent);
  bind_group_to(state.virtual_group, static_cast<std::int32_t>(sys::call(__NR_getpgid, 0).raw));
  bind_group_to(state.virtual_session, static_cast<std::int32_t>(sys::call(__NR_getsid, 0).raw));
}

}  // namespace

std::int32_t make_threads(ThreadBlock* server, const abi::ThreadState* states, std::uint64_t count) {
  if (count == 0 || count > kMaxThreads || g_made_count != 0) return -kEINVAL;
  take_state(server, states[0]);
  g_made[g_made_count++] = server;
  for (std::uint64_t i = 1; i < count; ++i) {
    ThreadBlock* t = allocate_block();
    if (t == nullptr) return -kENOMEM;
    t->sighand = &g_sighand;
    t->process = &g_process;
    take_state(t, states[i]);
    t->park_word = 4;  // not started
    std::int64_t tid = cairn_spawn(kThreadFlags, t->host_stack, t, restored_thread);
    if (tid < 0) return static_cast<std::int32_t>(tid);
    wait_while(t, 4);
    g_made[g_made_count++] = t;
  }
  bind_ids();
  return 0;
}

ThreadBlock* made_thread(std::int32_t index) {
  return index >= 0 && static_cast<std::uint32_t>(index) < g_made_count ? g_made[index] : nullptr;
}

std::int32_t put_xsave(std::int32_t index, const void* bytes, std::uint64_t count) {
  ThreadBlock* t = made_thread(index);
  if (t == nullptr || count > t->sigstack_bytes / 2) return -kEINVAL;
  memcpy(reinterpret_cast<void*>(xsave_address(t)), bytes, count);
  fit_extended_state(xsave_address(t));
  context_of(t)->mcontext.fpstate = xsave_address(t);
  return 0;
}

std::int32_t prepare_to_go(ThreadBlock* server) {
  if (g_made_count == 0) return -kEINVAL;
  adopt_guest_memory();
  arm(kShiftedClockHandlers);
  arm_shifted_ids();
  for (std::uint32_t i = 1; i < g_made_count; ++i) {
    answer(g_made[i], kPrepare);
    wait_while(g_made[i], kPrepare);
    if (g_made[i]->result != 0) return static_cast<std::int32_t>(g_made[i]->result);
  }
  std::int32_t ready = prepare(server);
  if (ready == 0) join_job(&g_process, -1);
  return ready;
}

void go(ThreadBlock* server) {
  if (server->ended != 0) {
    if (g_made_count > 1) answer(g_made[1], kGoAfterFirst);
    cairn_exit_thread(&server->in_use, static_cast<int>(server->ended - 1));
  }
  stop_again();
  for (std::uint32_t i = 1; i < g_made_count; ++i) answer(g_made[i], kGo);
  cairn_sigreturn_to(context_of(server));
}

}  // namespace cairn::runtime
