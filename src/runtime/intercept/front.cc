// The front handler. The kernel always calls it on the thread's own signal stack in the arena, with
// all signals blocked but SIGSEGV and SIGBUS, so that it never nests but for a fault while copying.
//
//                 guest code        in the door, at a boundary      elsewhere in the host
//   trapped call  into the door     -                               -
//   park request  park              park                            deferred to the boundary
//   guest signal  guest's frame     guest's frame, made as if the   deferred to the boundary
//                                   guest were at its call site
//
// "Deferred": all signals are blocked, the siginfo is kept in the block, and the door's way out (or
// back, before a call that could block) lifts the block again after it has sent itself a SIGSYS, the
// kick, whose frame then stands for the deferred signal.
//
// A fault in the host's own code is our bug; only cairn_copy may fault, on the guest's addresses.

#include "runtime/intercept/front.h"

#include <initializer_list>

#include "runtime/handlers/go_on.h"
#include "runtime/handlers/time_arguments.h"
#include "runtime/host/support.h"
#include "runtime/intercept/boundary.h"
#include "runtime/intercept/deliver.h"
#include "runtime/intercept/entry.h"
#include "runtime/intercept/held_signals.h"
#include "runtime/intercept/site_map.h"
#include "runtime/park/park.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint32_t kAuditArchX86_64 = 0xC000003E;
constexpr std::uint64_t kAllBlocked = ~0ULL;
constexpr std::uint64_t kFaults = signal_bit(kSigsegv) | signal_bit(kSigbus);

bool is_fault(int signal, const KernelSiginfo& info) {
  bool kind = signal == kSigsegv || signal == kSigbus || signal == kSigill || signal == kSigfpe ||
              signal == kSigtrap;
  return kind && info.code > 0;
}

// The kernel's force_sig: it cannot be blocked or ignored.
bool is_forced(int signal, const KernelSiginfo& info) {
  return is_fault(signal, info) || (signal == kSigsys && info.code == kSysSeccomp);
}

bool is_trapped_call(int signal, const KernelSiginfo& info) {
  return signal == kSigsys && (info.code == kSysUserDispatch || info.code == kSysSeccomp);
}

// A trapped call takes the way of a patched one.
void enter_door(KernelUcontext* context, const KernelSiginfo& info) {
  std::uint64_t* regs = context->mcontext.regs;
  if (info.sys.arch != kAuditArchX86_64) {  // int $0x80: no 32-bit calls under Cairn
    regs[abi::kRax] = static_cast<std::uint64_t>(-kENOSYS);
    return;
  }
  regs[abi::kRcx] = regs[abi::kRip];
  regs[abi::kRip] = label(cairn_entry);
}

void defer(ThreadBlock* t, KernelUcontext* context, int signal, const KernelSiginfo& info) {
  if (t->deferred == 0) t->exit_mask = context->mask;
  t->deferred = 1;
  t->deferred_signal = static_cast<std::uint64_t>(signal);
  t->deferred_info = info;
  context->mask = kAllBlocked;
}

// Of two signals at once the kernel may lay the frame of the second onto that of the first before an
// instruction of the front handler has run, so the stack tells and no flag of ours.
bool on_signal_stack(const ThreadBlock* t, const KernelUcontext& context) {
  std::uint64_t sp = context.mcontext.regs[abi::kRsp];
  return sp > t->sigstack && sp <= t->sigstack + t->sigstack_bytes;
}

// A fault signal that somebody sent while the front handler runs: it comes again afterwards.
void postpone_nested(ThreadBlock* t, KernelUcontext* context, int signal, KernelSiginfo* info) {
  std::uint64_t faults = kFaults;
  (void)sys::call(__NR_rt_sigprocmask, kSigBlock, sys::address(&faults), 0, 8);
  context->mask |= kFaults;
  t->faults_blocked = 1;
  (void)sys::call(__NR_rt_tgsigqueueinfo, static_cast<std::uint64_t>(t->process->real_pid),
                  static_cast<std::uint64_t>(t->real_tid), static_cast<std::uint64_t>(signal),
                  sys::address(info));
}

// The call that a park interrupted counts as interrupted by this signal too: it returns what is
// done of it, or begins anew, or fails with EINTR.
void settle_interrupted(ThreadBlock* t, KernelUcontext* context, const abi::GuestSigaction& action) {
  std::uint64_t* regs = context->mcontext.regs;
  const abi::InterruptedCall& call = t->interrupted;
  bool restarts = (action.flags & kSaRestart) != 0 && restarts_after_handler(call.number, regs);
  if (call.progress == 0 && restarts) return;
  if (call.progress == 0) report_remaining(call, regs);
  regs[abi::kRip] = resume_point(call.return_address);
  regs[abi::kRax] = call.progress != 0
                        ? call.progress
                        : static_cast<std::uint64_t>(-static_cast<std::int64_t>(kEINTR));
}

bool has_failed_with_eintr(const KernelUcontext* context, const Boundary& at) {
  return at.made_call && static_cast<std::int64_t>(context->mcontext.regs[abi::kRax]) == -kEINTR;
}

// The guest does not get this signal now, so that nothing has interrupted its call.
void make_call_anew(ThreadBlock* t, KernelUcontext* context, const Boundary& at) {
  if (!has_failed_with_eintr(context, at)) return;
  context->mcontext.regs[abi::kRip] = call_site(t->return_address);
  context->mcontext.regs[abi::kRax] = at.number;
}

bool default_is_ignore(int signal) {
  return signal == kSigchld || signal == kSigurg || signal == kSigwinch || signal == kSigcont;
}

void guest_signal(ThreadBlock* t, KernelUcontext* context, const Boundary& at, int signal,
                  const KernelSiginfo& info) {
  abi::GuestSigaction action = read_action(t->sighand, signal);
  bool forced = is_forced(signal, info);
  bool ended_wait = has_failed_with_eintr(context, at);
  std::uint64_t mask = ended_wait && t->has_wait_mask != 0 ? t->wait_mask : t->guest_mask;
  bool blocked = (mask & signal_bit(signal)) != 0;
  if (blocked && signal == kSigsys && forced) return die_by(t, context, signal);
  if (blocked && (kHostSignals & signal_bit(signal)) != 0) {
    hold_signal(t, signal, info);
    return make_call_anew(t, context, at);  // sigtimedwait is to find it
  }
  if (action.handler == kSigIgn || action.handler == kSigDfl) {
    bool ignored = action.handler == kSigIgn || default_is_ignore(signal);
    if (forced || !ignored) return die_by(t, context, signal);
    return make_call_anew(t, context, at);
  }
  if (!ended_wait) t->has_wait_mask = 0;
  if (ended_wait) report_remaining(t->call, context->mcontext.regs);
  if (at.before_call && at.begun && t->interrupted.valid != 0)
    settle_interrupted(t, context, action);
  t->interrupted.valid = 0;
  deliver(t, context, signal, info);
}

// A deferred signal may find that another handler has begun since and blocks it. (One that comes from
// the kernel is never blocked: inside sigsuspend the mask in force is not the guest's usual one.)
bool still_blocked(const ThreadBlock* t, int signal) {
  return (kHostSignals & signal_bit(signal)) == 0 && (t->guest_mask & signal_bit(signal)) != 0;
}

void keep_in_kernel(ThreadBlock* t, int signal, KernelSiginfo info) {
  (void)sys::call(__NR_rt_tgsigqueueinfo, static_cast<std::uint64_t>(t->process->real_pid),
                  static_cast<std::uint64_t>(t->real_tid), static_cast<std::uint64_t>(signal),
                  sys::address(&info));
}

// What was a park request is to be one still when its turn comes.
bool is_park_request(int signal, const KernelSiginfo& info) {
  return signal == abi::kParkSignal && info.code == kSiQueue && is_park_value(info.sent.value);
}

// The kick that the way out sent to itself: `info` becomes that of the deferred signal.
bool is_kick(ThreadBlock* t, int signal, const KernelSiginfo& info) {
  return signal == kSigsys && t->kicked != 0 && info.code == kSiTkill &&
         info.sent.pid == t->process->real_pid;
}

void arrive(ThreadBlock* t, KernelUcontext* context, int signal, KernelSiginfo info) {
  std::uint64_t& rip = context->mcontext.regs[abi::kRip];
  bool deferred = is_kick(t, signal, info);
  if (deferred) {
    t->kicked = 0;
    signal = static_cast<int>(t->deferred_signal);
    info = t->deferred_info;
    t->deferred_signal = 0;
    if (signal == 0) return;
  }
  std::uint64_t interrupted = rip;
  Boundary at = to_boundary(t, context);
  if (at.moment == Moment::kHost) {
    if (is_fault(signal, info)) die("fault in the runtime at", static_cast<std::int64_t>(interrupted));
    return defer(t, context, signal, info);
  }
  if (deferred && still_blocked(t, signal)) {
    leave_boundary(t, context);
    return keep_in_kernel(t, signal, info);
  }
  if (is_park_request(signal, info))
    park(t, context, at);
  else
    guest_signal(t, context, at, signal, info);
  if (held_signals(t, ~t->guest_mask) != 0) let_held_signals_through(t, t->guest_mask);
  leave_boundary(t, context);
}

}  // namespace

KernelSigaction front_action(int signal, std::uint64_t guest_flags) {
  constexpr std::uint64_t kPassed = kSaRestart | kSaNocldstop | kSaNocldwait | kSaExposeTagbits;
  std::uint64_t flags = kSaSiginfo | kSaOnstack | kSaRestorer | (guest_flags & kPassed);
  if (signal == kSigsegv || signal == kSigbus) flags |= kSaNodefer;
  return {sys::address(reinterpret_cast<const void*>(&cairn_front)), flags, label(cairn_restorer),
          kAllBlocked & ~kFaults};
}

sys::SysResult install_action(int signal, const abi::GuestSigaction& action) {
  KernelSigaction wanted{};
  if (kernel_action_is_ours(signal)) {
    wanted = front_action(signal, action.flags);
  } else if (action.handler == kSigDfl || action.handler == kSigIgn) {
    wanted = {action.handler, (action.flags & ~kSaOnstack) | kSaRestorer, label(cairn_restorer),
              action.mask};
  } else {
    wanted = front_action(signal, action.flags);
  }
  return sys::call(__NR_rt_sigaction, static_cast<std::uint64_t>(signal), sys::address(&wanted), 0, 8);
}

void install_host_actions() {
  for (int signal : {kSigsys, abi::kParkSignal, kSigsegv, kSigbus, kSigill}) {
    if (!kernel_action_is_ours(signal)) continue;
    auto done = install_action(signal, abi::GuestSigaction{});
    if (!done.ok()) die("cannot install a signal handler; error", done.raw);
  }
}

}  // namespace cairn::runtime

using namespace cairn::runtime;
namespace abi = cairn::abi;

const std::uint64_t* cairn_prepare_deferred(ThreadBlock* t) {
  if (t->deferred_signal != 0) {
    t->kicked = 1;
    (void)cairn::sys::call(__NR_tgkill, static_cast<std::uint64_t>(t->process->real_pid),
                           static_cast<std::uint64_t>(t->real_tid), kSigsys);
  }
  return &t->exit_mask;
}

void cairn_front(int signal, KernelSiginfo* info, KernelUcontext* context) {
  std::uint64_t* regs = context->mcontext.regs;
  std::uint64_t rip = regs[abi::kRip];
  if (is_trapped_call(signal, *info)) return enter_door(context, *info);
  if (is_fault(signal, *info) && rip >= label(cairn_copy_fault_first) &&
      rip < label(cairn_copy_fault_last)) {
    regs[abi::kRip] = label(cairn_copy_fault);
    return;
  }
  if (answer_cpuid(signal, *info, context)) return;
  ThreadBlock* t = current();
  if (on_signal_stack(t, *context)) return postpone_nested(t, context, signal, info);

  t->in_front = 1;
  arrive(t, context, signal, *info);
  t->faults_blocked = 0;
  t->in_front = 0;
}
