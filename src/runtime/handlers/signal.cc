// Signal actions, masks and alternate stacks: the guest's view is kept in the block and the sighand,
// the kernel holds what makes it come true (front.cc, deliver.cc).

#include "runtime/handlers/dispatch.h"
#include "runtime/handlers/process.h"
#include "runtime/handlers/time_arguments.h"
#include "runtime/host/support.h"
#include "runtime/intercept/deliver.h"
#include "runtime/intercept/extended_state.h"
#include "runtime/intercept/front.h"
#include "runtime/intercept/held_signals.h"
#include "runtime/intercept/site_map.h"
#include "runtime/restorer/ids.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kUnblockable = signal_bit(kSigkill) | signal_bit(kSigstop);

Action rt_sigaction(ThreadBlock* t) {
  auto signal = static_cast<int>(t->rdi);
  if (t->r10 != 8 || signal < 1 || signal > 64) return done(t, -kEINVAL);
  abi::GuestSigaction wanted{};
  if (t->rsi != 0) {
    if (copy_from_guest(&wanted, t->rsi, sizeof(wanted)) != 0) return done(t, -kEFAULT);
    if (signal == kSigkill || signal == kSigstop) return done(t, -kEINVAL);
  }
  abi::GuestSigaction old = read_action(t->sighand, signal);
  if (t->rsi != 0) {
    wanted.mask &= ~kUnblockable;
    wanted.flags &= ~kSaUnsupported;  // as the kernel: a program can tell that it is not known
    // A signal may arrive between the two: with our view first, the front handler knows the action.
    write_action(t->sighand, signal, wanted);
    auto installed = install_action(signal, wanted);
    if (!installed.ok()) {
      write_action(t->sighand, signal, old);
      return done(t, installed.raw);
    }
  }
  if (t->rdx != 0 && copy_to_guest(t->rdx, &old, sizeof(old)) != 0) return done(t, -kEFAULT);
  return done(t, 0);
}

std::int64_t write_old_mask(ThreadBlock* t, std::uint64_t old, std::int64_t result) {
  if (result != 0 || t->rdx == 0) return result;
  return copy_to_guest(t->rdx, &old, sizeof(old));
}

std::int64_t after_sigprocmask(ThreadBlock* t, std::int64_t result) {
  if (result != 0) return result;
  std::uint64_t old = t->guest_mask;
  t->guest_mask = t->mask_argument[1];
  // The front handler, should it be who calls this, looks itself before it leaves.
  if (t->in_front == 0 && held_signals(t, ~t->guest_mask) != 0) {
    block_signals(t);
    if (t->deferred == 0) {
      let_held_signals_through(t, t->guest_mask);
      unblock_on_exit(t);
    }
  }
  return write_old_mask(t, old, result);
}

Action rt_sigprocmask(ThreadBlock* t) {
  if (t->r10 != 8) return done(t, -kEINVAL);
  std::uint64_t set = 0;
  if (t->rsi == 0) return done(t, write_old_mask(t, t->guest_mask, 0));
  if (copy_from_guest(&set, t->rsi, sizeof(set)) != 0) return done(t, -kEFAULT);
  set &= ~kUnblockable;
  std::uint64_t wanted = 0;
  switch (static_cast<int>(t->rdi)) {
    case kSigBlock: wanted = t->guest_mask | set; break;
    case kSigUnblock: wanted = t->guest_mask & ~set; break;
    case kSigSetmask: wanted = set; break;
    default: return done(t, -kEINVAL);
  }
  t->mask_argument[0] = wanted & ~kHostSignals;
  t->mask_argument[1] = wanted;
  t->tail = {__NR_rt_sigprocmask, {kSigSetmask, sys::address(&t->mask_argument[0]), 0, 8}};
  t->post = after_sigprocmask;
  return Action::kTail;
}

bool on_altstack(const ThreadBlock* t) {
  return (t->altstack_flags & kSsAutodisarm) == 0 && t->altstack_size != 0 &&
         t->guest_sp > t->altstack_pointer && t->guest_sp - t->altstack_pointer <= t->altstack_size;
}

Action sigaltstack(ThreadBlock* t) {
  KernelStack wanted{};
  KernelStack old{t->altstack_pointer, static_cast<std::int32_t>(t->altstack_flags), 0,
                  t->altstack_size};
  if (t->altstack_size == 0) old.flags = kSsDisable;
  if (on_altstack(t)) old.flags |= kSsOnstack;
  if (t->rdi != 0) {
    if (copy_from_guest(&wanted, t->rdi, sizeof(wanted)) != 0) return done(t, -kEFAULT);
    if (on_altstack(t)) return done(t, -kEPERM);
    std::uint32_t flags = static_cast<std::uint32_t>(wanted.flags);
    std::uint32_t mode = flags & ~kSsAutodisarm;
    if (mode > kSsDisable || mode == (kSsOnstack | kSsDisable)) return done(t, -kEINVAL);
    if (mode == kSsDisable) {
      wanted.pointer = wanted.size = 0;
    } else if (wanted.size < 2048) {  // MINSIGSTKSZ
      return done(t, -kENOMEM);
    }
    t->altstack_pointer = wanted.pointer;
    t->altstack_size = wanted.size;
    t->altstack_flags = flags;
  }
  if (t->rsi != 0 && copy_to_guest(t->rsi, &old, sizeof(old)) != 0) return done(t, -kEFAULT);
  return done(t, 0);
}

// The frame is copied so that the guest's stays as it is should a signal make us begin again. Its
// floating-point area is used where it lies.
Action rt_sigreturn(ThreadBlock* t) {
  auto* context = reinterpret_cast<KernelUcontext*>(t->return_frame);
  if (copy_from_guest(context, t->guest_sp, sizeof(*context)) != 0) {
    t->tail = {__NR_tgkill,
               {static_cast<std::uint64_t>(t->process->real_pid),
                static_cast<std::uint64_t>(t->real_tid), kSigsegv}};
    return Action::kTail;
  }
  if (!on_altstack(t)) {
    t->altstack_pointer = context->stack.pointer;
    t->altstack_size = context->stack.size;
    t->altstack_flags = static_cast<std::uint32_t>(context->stack.flags);
  }
  t->guest_mask = context->mask & ~kUnblockable;
  context->mask = t->guest_mask & ~kHostSignals;
  context->stack = {t->sigstack, 0, 0, t->sigstack_bytes};
  fit_extended_state(context->mcontext.fpstate);
  context->mcontext.regs[abi::kRip] = to_runnable(context->mcontext.regs[abi::kRip]);
  if (held_signals(t, ~t->guest_mask) != 0) {
    // They arrive in the frame's own context: its mask is set by then.
    block_signals(t);
    if (t->deferred != 0) return Action::kRetry;  // a signal came first
    let_held_signals_through(t, t->guest_mask);
  }
  t->tail.args[0] = sys::address(context);
  return Action::kSigreturn;
}

std::int64_t after_sigpending(ThreadBlock* t, std::int64_t result) {
  std::uint64_t set = 0;
  std::uint64_t held = held_signals(t, kHostSignals);
  if (result != 0 || held == 0 || t->rsi < 8) return result;
  if (copy_from_guest(&set, t->rdi, sizeof(set)) != 0) return -kEFAULT;
  set |= held;
  return copy_to_guest(t->rdi, &set, sizeof(set));
}

Action rt_sigpending(ThreadBlock* t) { return pass(t, after_sigpending); }

Action rt_sigsuspend(ThreadBlock* t) {
  pass(t);
  if (copy_from_guest(&t->mask_argument[0], t->rdi, 8) != 0) return done(t, -kEFAULT);
  note_wait_mask(t, t->mask_argument[0]);
  t->mask_argument[0] &= ~kHostSignals;
  t->tail.args[0] = sys::address(&t->mask_argument[0]);
  return Action::kTail;
}

// si_pid of what was waited for, after a restart.
std::int64_t after_sigtimedwait(ThreadBlock* t, std::int64_t result) {
  KernelSiginfo info{};
  if (result <= 0 || t->rsi == 0 || !ids_shifted()) return result;
  if (copy_from_guest(&info, t->rsi, sizeof(info)) != 0) return result;
  if (!siginfo_holds_pid(info.signal, info.code)) return result;
  info.sent.pid = to_virtual(info.sent.pid);
  return copy_to_guest(t->rsi, &info, sizeof(info)) != 0 ? -kEFAULT : result;
}

std::int64_t after_waiting_for_host_signals(ThreadBlock* t, std::int64_t result) {
  __atomic_store_n(&t->waited_set, 0, __ATOMIC_SEQ_CST);
  return after_sigtimedwait(t, result);
}

// A host-owned signal never waits in the kernel: one that the guest holds back is held for it.
Action rt_sigtimedwait(ThreadBlock* t) {
  std::uint64_t set = 0;
  bool readable = t->r10 == 8 && copy_from_guest(&set, t->rdi, sizeof(set)) == 0;
  pass(t, after_sigtimedwait);
  if (!readable || (set & kHostSignals) == 0) return keep_relative_timespec(t, 2);
  // Announced first: who sends one from here on looks for us, who did before has it held.
  __atomic_store_n(&t->waited_set, set & kHostSignals, __ATOMIC_SEQ_CST);
  KernelSiginfo info;
  if (held_signals(t, set) != 0) {
    block_signals(t);
    if (t->deferred != 0) return Action::kRetry;
    bool taken = take_held_signal(t, set, &info);
    t->waited_set = 0;
    unblock_on_exit(t);
    if (!taken) return Action::kRetry;
    if (t->rsi != 0 && copy_to_guest(t->rsi, &info, sizeof(info)) != 0) return done(t, -kEFAULT);
    return done(t, info.signal);
  }
  t->post = after_waiting_for_host_signals;
  t->mask_argument[0] = set & ~kHostSignals;  // the kernel must not hand out a park request
  t->tail.args[0] = sys::address(&t->mask_argument[0]);
  return keep_relative_timespec(t, 2);
}

}  // namespace

const HandlerRow kSignalHandlers[] = {{__NR_rt_sigaction, rt_sigaction},
                                      {__NR_rt_sigprocmask, rt_sigprocmask},
                                      {__NR_sigaltstack, sigaltstack},
                                      {__NR_rt_sigreturn, rt_sigreturn},
                                      {__NR_rt_sigpending, rt_sigpending},
                                      {__NR_rt_sigsuspend, rt_sigsuspend},
                                      {__NR_rt_sigtimedwait, rt_sigtimedwait},
                                      {0, nullptr}};

}  // namespace cairn::runtime
