// The kernel builds its frame on the host's signal stack (front.cc says why); here the guest gets a
// copy of it where the kernel would have put it:
//
//   guest's stack or alternate stack
//   high   ... what was there ...        rsp - 128: the red zone is left alone
//          xsave area, 64-byte aligned
//          siginfo
//          ucontext                      rdx
//   low    return address = sa_restorer  rsp at the handler's first instruction
//
// Then the kernel's own frame is rewritten so that the front handler's rt_sigreturn sets registers,
// mask and a fresh floating-point state in one step: nothing can come between.

#include "runtime/intercept/deliver.h"

#include "runtime/handlers/robust_list.h"
#include "runtime/host/support.h"
#include "runtime/intercept/entry.h"
#include "runtime/intercept/front.h"
#include "runtime/link/thread_state.h"
#include "runtime/restorer/ids.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kRedZone = 128;
constexpr std::uint64_t kTrapFlag = 0x100, kDirectionFlag = 0x400, kResumeFlag = 0x10000;

bool on_altstack(const ThreadBlock* t, std::uint64_t sp) {
  return sp > t->altstack_pointer && sp - t->altstack_pointer <= t->altstack_size;
}

std::uint64_t pick_stack(const ThreadBlock* t, const abi::GuestSigaction& action, std::uint64_t sp) {
  bool usable = t->altstack_size != 0 && (t->altstack_flags & kSsDisable) == 0;
  bool autodisarm = (t->altstack_flags & kSsAutodisarm) != 0;
  if ((action.flags & kSaOnstack) != 0 && usable && (autodisarm || !on_altstack(t, sp)))
    return t->altstack_pointer + t->altstack_size;
  return sp - kRedZone;
}

// Writes the guest's frame; returns its address, or 0 if there is no room for it.
std::uint64_t write_frame(ThreadBlock* t, const KernelUcontext& context,
                          const abi::GuestSigaction& action, const KernelSiginfo& info) {
  std::uint64_t sp = context.mcontext.regs[abi::kRsp];
  bool was_on_altstack = t->altstack_size != 0 && on_altstack(t, sp);
  std::uint64_t top = pick_stack(t, action, sp);
  std::uint64_t fp_bytes = fpstate_bytes(context.mcontext.fpstate);
  std::uint64_t fp = fp_bytes != 0 ? (top - fp_bytes) & ~63ULL : top;
  std::uint64_t frame = ((fp - sizeof(KernelSigframe)) & ~15ULL) - 8;
  bool entering = top == t->altstack_pointer + t->altstack_size && !was_on_altstack;
  if ((entering || was_on_altstack) && (t->altstack_flags & kSsAutodisarm) == 0 &&
      t->altstack_size != 0 && !on_altstack(t, frame))
    return 0;  // an overflow of the alternate stack: the kernel refuses too

  KernelSigframe out;
  out.return_address = action.restorer;
  out.context = context;
  out.context.link = 0;
  out.context.stack = {t->altstack_pointer, static_cast<std::int32_t>(t->altstack_flags), 0,
                       t->altstack_size};
  out.context.mcontext.fpstate = fp_bytes != 0 ? fp : 0;
  out.context.mask = t->guest_mask;
  out.info = info;
  if (ids_shifted() && siginfo_holds_pid(info.signal, info.code)) out.info.sent.pid = to_virtual(info.sent.pid);
  if (fp_bytes != 0 &&
      copy_to_guest(fp, reinterpret_cast<const void*>(context.mcontext.fpstate), fp_bytes) != 0)
    return 0;
  if (copy_to_guest(frame, &out, sizeof(out)) != 0) return 0;
  return frame;
}

void enter_handler(ThreadBlock* t, KernelUcontext* context, int signal,
                   const abi::GuestSigaction& action, std::uint64_t frame) {
  std::uint64_t* regs = context->mcontext.regs;
  regs[abi::kRip] = action.handler;
  regs[abi::kRsp] = frame;
  regs[abi::kRdi] = static_cast<std::uint64_t>(signal);
  regs[abi::kRsi] = frame + offsetof(KernelSigframe, info);
  regs[abi::kRdx] = frame + offsetof(KernelSigframe, context);
  regs[abi::kRax] = 0;
  regs[abi::kEflags] &= ~(kDirectionFlag | kResumeFlag | kTrapFlag);
  context->mcontext.fpstate = 0;  // the kernel starts a handler with the initial state
  // A wait with a mask of its own is left with that mask in force (set_current_blocked comes later).
  std::uint64_t mask = (t->has_wait_mask != 0 ? t->wait_mask : t->guest_mask) | action.mask;
  t->has_wait_mask = 0;
  if ((action.flags & kSaNodefer) == 0) mask |= signal_bit(signal);
  t->guest_mask = mask & ~(signal_bit(kSigkill) | signal_bit(kSigstop));
  context->mask = t->guest_mask & ~kHostSignals;
  if ((t->altstack_flags & kSsAutodisarm) != 0) {
    t->altstack_pointer = t->altstack_size = 0;
    t->altstack_flags = kSsDisable;
  }
}

void reset_action(ThreadBlock* t, int signal) {
  abi::GuestSigaction action = read_action(t->sighand, signal);
  action.handler = kSigDfl;
  write_action(t->sighand, signal, action);
  (void)install_action(signal, action);
}

}  // namespace

abi::GuestSigaction read_action(Sighand* hand, int signal) {
  for (;;) {
    std::uint32_t before = __atomic_load_n(&hand->sequence, __ATOMIC_ACQUIRE);
    abi::GuestSigaction copy = hand->actions[signal];
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if ((before & 1) == 0 && before == __atomic_load_n(&hand->sequence, __ATOMIC_RELAXED)) return copy;
    asm volatile("pause");
  }
}

void write_action(Sighand* hand, int signal, const abi::GuestSigaction& action) {
  while (__atomic_exchange_n(&hand->lock, 1, __ATOMIC_ACQUIRE) != 0) asm volatile("pause");
  __atomic_fetch_add(&hand->sequence, 1, __ATOMIC_ACQ_REL);
  hand->actions[signal] = action;
  __atomic_fetch_add(&hand->sequence, 1, __ATOMIC_ACQ_REL);
  __atomic_store_n(&hand->lock, 0, __ATOMIC_RELEASE);
}

void die_by(ThreadBlock* t, KernelUcontext* context, int signal) {
  leave_robust_lists_of_process(t);
  abi::GuestSigaction action{};
  write_action(t->sighand, signal, action);
  KernelSigaction plain{};
  (void)sys::call(__NR_rt_sigaction, static_cast<std::uint64_t>(signal), sys::address(&plain), 0, 8);
  t->guest_mask &= ~signal_bit(signal);
  context->mask &= ~signal_bit(signal);
  (void)sys::call(__NR_tgkill, static_cast<std::uint64_t>(t->process->real_pid),
                  static_cast<std::uint64_t>(t->real_tid), static_cast<std::uint64_t>(signal));
}

void deliver(ThreadBlock* t, KernelUcontext* context, int signal, const KernelSiginfo& info) {
  abi::GuestSigaction action = read_action(t->sighand, signal);
  if (action.handler == kSigIgn || action.handler == kSigDfl) return;  // changed by another thread
  if ((action.flags & kSaRestorer) == 0) return die_by(t, context, kSigsegv);
  std::uint64_t frame = write_frame(t, *context, action, info);
  if (frame == 0) return frame_failed(t, context, signal);
  if ((action.flags & kSaResethand) != 0) reset_action(t, signal);
  enter_handler(t, context, signal, action, frame);
}

void frame_failed(ThreadBlock* t, KernelUcontext* context, int signal) {
  // As the kernel's force_sigsegv: the guest may catch it on an alternate stack, once.
  abi::GuestSigaction action = read_action(t->sighand, kSigsegv);
  bool blocked = (t->guest_mask & signal_bit(kSigsegv)) != 0;
  if (signal == kSigsegv || blocked || action.handler == kSigDfl || action.handler == kSigIgn)
    return die_by(t, context, kSigsegv);
  KernelSiginfo info{};
  info.signal = kSigsegv;
  info.code = kSiKernel;
  std::uint64_t frame = write_frame(t, *context, action, info);
  if (frame == 0) return die_by(t, context, kSigsegv);
  enter_handler(t, context, kSigsegv, action, frame);
}

}  // namespace cairn::runtime
