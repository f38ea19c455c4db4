// Threads and processes come and go; what belongs to a thread and not to its memory.

#include "runtime/handlers/process.h"

#include "abi/api.h"
#include "runtime/handlers/api.h"
#include "runtime/handlers/dispatch.h"
#include "runtime/handlers/registrations.h"
#include "runtime/handlers/robust_list.h"
#include "runtime/host/clocks.h"
#include "runtime/handlers/seccomp.h"
#include "runtime/host/arena.h"
#include "runtime/host/job.h"
#include "runtime/host/support.h"
#include "runtime/intercept/door.h"
#include "runtime/intercept/entry.h"
#include "runtime/intercept/held_signals.h"
#include "runtime/intercept/text.h"
#include "runtime/park/park.h"
#include "runtime/restorer/ids.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kCloneVm = 0x100, kCloneFs = 0x200, kCloneFiles = 0x400,
                        kCloneSighand = 0x800, kClonePidfd = 0x1000, kCloneVfork = 0x4000,
                        kCloneThread = 0x10000, kCloneParentSettid = 0x100000,
                        kCloneChildCleartid = 0x200000, kCloneUntraced = 0x800000,
                        kCloneChildSettid = 0x1000000;
constexpr std::uint64_t kSigchldFlag = 17;

// The child begins where the parent stands: its block starts as a copy of the registers.
void copy_for_child(const ThreadBlock* parent, ThreadBlock* child) {
  child->return_address = parent->return_address;
  memcpy(&child->rax, &parent->rax, offsetof(ThreadBlock, result) - offsetof(ThreadBlock, rax));
  child->guest_mask = parent->guest_mask;
  child->cpu_clock_offset_ns = child->user_time_offset_ns = child->system_time_offset_ns = 0;
  child->sighand = parent->sighand;
  child->process = parent->process;
  child->birth_slot = parent->birth_slot;
  child->filters = parent->filters;
  child->strict = parent->strict;
}

ThreadBlock* block_for_child(ThreadBlock* t, std::uint64_t flags) {
  if ((flags & kCloneVm) == 0) return t;
  ThreadBlock* child = allocate_block();
  if (child == nullptr) return nullptr;
  copy_for_child(t, child);
  if ((flags & kCloneChildCleartid) != 0) child->clear_child_tid = t->tail.args[3];
  if ((flags & kCloneSighand) == 0) {
    child->own_sighand = *t->sighand;
    child->own_sighand.lock = child->own_sighand.sequence = 0;
    child->sighand = &child->own_sighand;
  }
  if ((flags & kCloneThread) == 0) {
    child->own_process = *t->process;
    child->process = &child->own_process;
    start_without_held_signals(child->process);
  }
  child->vfork_child = (flags & kCloneVfork) != 0 ? 1 : 0;
  // vfork keeps the alternate stack, another clone with shared memory starts without.
  if ((flags & kCloneVfork) != 0) {
    child->altstack_pointer = t->altstack_pointer;
    child->altstack_size = t->altstack_size;
    child->altstack_flags = t->altstack_flags;
  }
  return child;
}

// The kernel writes the child's pid into its slot before anybody runs on; what the guest wanted there
// is written by report_new_id.
std::int32_t reserve_for_child(ThreadBlock* t, std::uint64_t flags) {
  t->birth_slot = reserve_slot((flags & kCloneVfork) != 0);
  if (t->birth_slot < 0 || (flags & kClonePidfd) != 0) return t->birth_slot;
  t->tail.args[0] |= kCloneParentSettid;
  t->tail.args[2] = sys::address(slot_pid(t->birth_slot));
  return t->birth_slot;
}

// The guest's own words for the id, which may not be the kernel's; `t` is the parent or the child.
void report_new_id(ThreadBlock* t, std::uint64_t flags, std::int32_t id, bool is_child) {
  bool has_parents_word = !is_child || (flags & kCloneVm) != 0;
  if ((flags & kCloneParentSettid) != 0 && has_parents_word)
    (void)!copy_to_guest(t->rdx, &id, sizeof(id));
  if ((flags & kCloneChildSettid) != 0 && is_child && id != t->real_tid)
    (void)!copy_to_guest(t->r10, &id, sizeof(id));
}

const char* what_it_shares(std::uint64_t flags) {
  if ((flags & (kCloneVm | kCloneVfork)) == kCloneVm) return "shares its memory with its parent";
  if ((flags & kCloneFiles) != 0) return "shares its descriptors with its parent";
  if ((flags & kCloneFs) != 0) return "shares its working directory with its parent";
  return nullptr;
}

Action start_clone(ThreadBlock* t, std::uint64_t flags) {
  ThreadBlock* child = block_for_child(t, flags);
  if (child == nullptr) return done(t, -kEAGAIN);
  t->child = child;
  t->scratch[0] = flags;
  block_signals(t);
  if (t->deferred != 0) {  // a signal came first
    if (child != t) release_block(child);
    return Action::kRetry;
  }
  if ((flags & kCloneThread) == 0) child->birth_slot = reserve_for_child(t, flags);
  child->exit_mask = t->exit_mask;
  child->scratch[0] = flags;
  return Action::kClone;
}

Action clone(ThreadBlock* t) {
  pass(t);
  t->tail.args[0] &= ~kCloneUntraced;
  return start_clone(t, t->rdi);
}

Action fork(ThreadBlock* t) {
  t->tail = {__NR_clone, {kSigchldFlag, 0, 0, 0, 0, 0}};
  return start_clone(t, kSigchldFlag);
}

Action vfork(ThreadBlock* t) {
  std::uint64_t flags = kCloneVm | kCloneVfork | kSigchldFlag;
  t->tail = {__NR_clone, {flags, 0, 0, 0, 0, 0}};
  return start_clone(t, flags);
}

Action exit_thread(ThreadBlock* t) { return end_thread(t, static_cast<int>(t->rdi)); }

Action exit_group(ThreadBlock* t) {
  leave_robust_lists_of_process(t);
  leave_job(t->process);
  return pass(t);
}

std::int64_t after_set_tid_address(ThreadBlock* t, std::int64_t result) {
  t->clear_child_tid = t->rdi;
  return result < 0 ? result : t->virtual_tid;
}

Action set_tid_address(ThreadBlock* t) { return pass(t, after_set_tid_address); }

std::int64_t after_set_robust_list(ThreadBlock* t, std::int64_t result) {
  if (result == 0) {
    t->robust_list = t->rdi;
    t->robust_list_bytes = t->rsi;
  }
  return result;
}

Action set_robust_list(ThreadBlock* t) { return pass(t, after_set_robust_list); }

std::int64_t after_rseq(ThreadBlock* t, std::int64_t result) {
  constexpr std::uint64_t kUnregister = 1;
  if (result != 0) return result;
  bool gone = (t->rdx & kUnregister) != 0;
  t->rseq_address = gone ? 0 : t->rdi;
  t->rseq_bytes = gone ? 0 : static_cast<std::uint32_t>(t->rsi);
  t->rseq_signature = gone ? 0 : static_cast<std::uint32_t>(t->r10);
  return result;
}

Action rseq(ThreadBlock* t) { return pass(t, after_rseq); }

Action getpid(ThreadBlock* t) { return done(t, t->process->virtual_pid); }
Action gettid(ThreadBlock* t) { return done(t, t->virtual_tid); }

// GS is the host's. A shadow stack cannot follow a thread through the door.
Action arch_prctl(ThreadBlock* t) {
  constexpr std::uint64_t kSetGs = 0x1001, kGetGs = 0x1004, kShstkEnable = 0x5001;
  auto op = static_cast<std::uint32_t>(t->rdi);
  if (op == kSetGs || op == kShstkEnable) return done(t, -kENOTSUP);
  if (op == kGetGs) {
    std::uint64_t zero = 0;
    return done(t, copy_to_guest(t->rsi, &zero, sizeof(zero)));
  }
  return pass(t);
}

std::int64_t after_set_no_new_privs(ThreadBlock* t, std::int64_t result) {
  if (result == 0) t->process->no_new_privs_is_ours = false;
  return result;
}

std::int64_t after_get_no_new_privs(ThreadBlock* t, std::int64_t result) {
  return result == 1 && t->process->no_new_privs_is_ours ? 0 : result;
}

Action prctl(ThreadBlock* t) {
  constexpr int kGetSeccomp = 21, kSetSeccomp = 22, kSetNoNewPrivs = 38, kGetNoNewPrivs = 39,
                kSetDispatch = 59;
  if (t->rdi == abi::kApiOption) return api(t);
  auto operation = static_cast<int>(t->rdi);
  if (operation == kSetDispatch) return done(t, -kEINVAL);
  if (operation == kGetSeccomp) return done(t, get_seccomp(t));
  if (operation == kSetSeccomp) return done(t, set_seccomp(t, t->rsi, t->rdx));
  if (operation == kSetNoNewPrivs) return pass(t, after_set_no_new_privs);
  if (operation == kGetNoNewPrivs) return pass(t, after_get_no_new_privs);
  return pass(t);
}

// A child with memory of its own whose parent borrowed its own parent's: all of it is this one's now.
void own_everything(ThreadBlock* t) {
  if (t->process != &g_process) g_process = *t->process;
  if (t->sighand != &g_sighand) g_sighand = *t->sighand;
  t->process = &g_process;
  t->sighand = &g_sighand;
  t->vfork_child = 0;
}

void start_process(ThreadBlock* t, std::uint64_t flags) {
  bool shares_memory = (flags & kCloneVm) != 0;
  if (!shares_memory) own_everything(t);
  Process* process = t->process;
  process->shares = what_it_shares(flags);
  if (!shares_memory) {
    start_without_held_signals(process);
    forget_other_blocks(t);
    text_lock_after_fork();
    left_out_lock_after_fork();
    t->sighand->lock = 0;
    if ((t->sighand->sequence & 1) != 0) ++t->sighand->sequence;
    t->cpu_clock_offset_ns = t->user_time_offset_ns = t->system_time_offset_ns = 0;
    forget_cpu_times();
    forget_locks_after_fork();
  }
  process->parent_slot = process->slot;
  process->real_pid = t->real_tid;
  process->virtual_pid = adopt_new_id(t->real_tid);
  t->virtual_tid = process->virtual_pid;
  join_job(process, t->birth_slot);
}

}  // namespace

const HandlerRow kProcessHandlers[] = {{__NR_clone, clone},
                                       {__NR_fork, fork},
                                       {__NR_vfork, vfork},
                                       {__NR_exit, exit_thread},
                                       {__NR_exit_group, exit_group},
                                       {__NR_set_tid_address, set_tid_address},
                                       {__NR_set_robust_list, set_robust_list},
                                       {__NR_rseq, rseq},
                                       {__NR_getpid, getpid},
                                       {__NR_gettid, gettid},
                                       {__NR_arch_prctl, arch_prctl},
                                       {__NR_prctl, prctl},
                                       {0, nullptr}};

}  // namespace cairn::runtime

namespace cairn::runtime {

void block_signals(ThreadBlock* t) {
  std::uint64_t all = ~0ULL;
  (void)sys::call(__NR_rt_sigprocmask, kSigSetmask, sys::address(&all), 0, 8);
  t->exit_mask = t->guest_mask & ~kHostSignals;
}

void unblock_on_exit(ThreadBlock* t) {
  t->deferred = 1;
  t->deferred_signal = 0;
}

Action end_thread(ThreadBlock* t, int status) {
  leave_robust_list(t);
  block_signals(t);
  if (t->process != &g_process || t->vfork_child != 0) {
    // A vfork child's block is its parent's to free.
    (void)sys::call(__NR_exit, static_cast<std::uint64_t>(status));
  }
  forget_held_signals_of(t);
  cairn_exit_thread(&t->in_use, status);
}

std::uint32_t thread_count(const Process* process) {
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < block_count(); ++i)
    count += block_at(i)->in_use != 0 && block_at(i)->process == process ? 1 : 0;
  return count;
}

}  // namespace cairn::runtime

using namespace cairn::runtime;

extern "C" std::int64_t cairn_clone_parent(ThreadBlock* t, std::int64_t result) {
  ThreadBlock* child = t->child;
  t->child = nullptr;
  unblock_on_exit(t);
  bool separate = child != t;
  std::uint64_t flags = t->scratch[0];
  if ((flags & kCloneThread) == 0 && result < 0) give_back_slot(t->birth_slot);
  // After vfork the child is gone from this memory; after a failure it never was.
  if (separate && (result < 0 || child->vfork_child != 0)) release_block(child);
  if (result <= 0) return result;
  std::int32_t id = adopt_new_id(static_cast<std::int32_t>(result));
  if ((flags & kCloneThread) == 0 || id != result) report_new_id(t, flags, id, false);
  return id;
}

extern "C" void cairn_clone_child_start(ThreadBlock* t) {
  std::uint64_t flags = t->scratch[0];
  bool shares_memory = (flags & kCloneVm) != 0;
  set_gs(t);
  t->real_tid = static_cast<std::int32_t>(cairn::sys::call(__NR_gettid).raw);
  if (!shares_memory || (flags & kCloneVfork) == 0) {
    t->robust_list = t->robust_list_bytes = 0;
    if (shares_memory) t->rseq_address = t->rseq_bytes = t->rseq_signature = 0;
  }
  if ((flags & kCloneThread) != 0)
    t->virtual_tid = adopt_new_id(t->real_tid);
  else
    start_process(t, flags);
  t->interrupted.valid = 0;
  t->child = nullptr;
  unblock_on_exit(t);
  if ((flags & kCloneThread) == 0 || t->virtual_tid != t->real_tid)
    report_new_id(t, flags, t->virtual_tid, true);
  arm_thread(t);
  park_if_frozen(t);
}
