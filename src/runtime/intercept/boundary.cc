#include "runtime/intercept/boundary.h"

#include "abi/arena.h"
#include "abi/export_page.h"
#include "runtime/handlers/time_arguments.h"
#include "runtime/intercept/entry.h"
#include "runtime/intercept/site_map.h"
#include "runtime/intercept/vdso.h"

namespace cairn::runtime {
namespace {

using abi::GeneralRegister;

bool within(std::uint64_t rip, const char* first, const char* end) {
  return rip >= label(first) && rip < label(end);
}

bool up_to(std::uint64_t rip, const char* first, const char* last) {
  return rip >= label(first) && rip <= label(last);
}

// The registers that the block holds, and the place given.
void context_from_block(ThreadBlock* t, KernelUcontext* context, std::uint64_t rax,
                        std::uint64_t rip) {
  std::uint64_t* regs = context->mcontext.regs;
  regs[abi::kRdi] = t->rdi;
  regs[abi::kRsi] = t->rsi;
  regs[abi::kRdx] = t->rdx;
  regs[abi::kR10] = t->r10;
  regs[abi::kR8] = t->r8;
  regs[abi::kR9] = t->r9;
  regs[abi::kRbx] = t->rbx;
  regs[abi::kRbp] = t->rbp;
  regs[abi::kR12] = t->r12;
  regs[abi::kR13] = t->r13;
  regs[abi::kR14] = t->r14;
  regs[abi::kR15] = t->r15;
  regs[abi::kRsp] = t->guest_sp;
  regs[abi::kEflags] = t->flags;
  regs[abi::kR11] = t->flags;
  regs[abi::kRcx] = rip;
  regs[abi::kRax] = rax;
  regs[abi::kRip] = rip;
}

// A signal with SA_RESTART takes the thread back to the instruction: rcx is still what that left
// there.
bool was_begun(const KernelUcontext* context, const char* call, const char* done) {
  const std::uint64_t* regs = context->mcontext.regs;
  return regs[abi::kRip] == label(call) && regs[abi::kRcx] == label(done);
}

bool is_interrupted(const ThreadBlock* t, std::uint64_t number) {
  return t->interrupted.valid != 0 && t->interrupted.number == number;
}

Boundary not_made(ThreadBlock* t, KernelUcontext* context) {
  bool begun = was_begun(context, cairn_tail_call, cairn_tail_done) || is_interrupted(t, t->rax);
  context_from_block(t, context, t->rax, call_site(t->return_address));
  return {Moment::kGuest, false, true, t->rax, begun};
}

Boundary made(ThreadBlock* t, KernelUcontext* context) {
  context_from_block(t, context, static_cast<std::uint64_t>(t->result),
                     resume_point(t->return_address));
  return {Moment::kGuest, true, false, t->rax, false};
}

// In the fast path, on the export page's jump to it (which lies below), and where the slow one begins,
// all registers but rcx and r11 are the guest's own.
Boundary in_fast_path(ThreadBlock* t, KernelUcontext* context) {
  std::uint64_t* regs = context->mcontext.regs;
  std::uint64_t rip = regs[abi::kRip];
  bool saved = rip > label(cairn_entry);
  std::uint64_t back = saved ? t->return_address : regs[abi::kRcx];
  bool done = within(rip, cairn_fast_done, cairn_fast_end);
  bool begun =
      was_begun(context, cairn_fast_call, cairn_fast_done) || is_interrupted(t, regs[abi::kRax]);
  regs[abi::kRip] = done ? resume_point(back) : call_site(back);
  regs[abi::kRcx] = regs[abi::kRip];
  if (!done) return {Moment::kGuest, false, true, regs[abi::kRax], begun};
  return {Moment::kGuest, true, false, t->rax, false};
}

struct VdsoFunction {
  const char* start;
  const char* call;
};

constexpr std::uint32_t kVdsoSlots = 5;  // from Slot::kVdsoClockGettime on

// Inside our wrapper or the kernel's function: as if it had not been called yet.
Boundary in_vdso(ThreadBlock* t, KernelUcontext* context) {
  static const VdsoFunction kFunctions[] = {
      {cairn_vdso_clock_gettime, cairn_vdso_clock_gettime_call},
      {cairn_vdso_gettimeofday, cairn_vdso_gettimeofday_call},
      {cairn_vdso_time, cairn_vdso_time_call},
      {cairn_vdso_clock_getres, cairn_vdso_clock_getres_call},
      {cairn_vdso_getcpu, cairn_vdso_getcpu_call}};
  std::uint64_t* regs = context->mcontext.regs;
  std::uint64_t rip = regs[abi::kRip];
  for (unsigned i = 0; i < kVdsoSlots; ++i) {
    if (!up_to(rip, kFunctions[i].start, kFunctions[i].call)) continue;
    regs[abi::kRip] = guest_vdso_function(i + 2);
    return {Moment::kGuest, false, false, 0, false};
  }
  const std::uint64_t* saved = t->vdso_saved;
  regs[abi::kRdi] = saved[0];
  regs[abi::kRsi] = saved[1];
  regs[abi::kRdx] = saved[2];
  regs[abi::kRsp] = saved[3];
  regs[abi::kRbx] = saved[4];
  regs[abi::kRbp] = saved[5];
  regs[abi::kR12] = saved[6];
  regs[abi::kR13] = saved[7];
  regs[abi::kR14] = saved[8];
  regs[abi::kR15] = saved[9];
  regs[abi::kEflags] &= ~0x400ULL;
  regs[abi::kRip] = guest_vdso_function(t->vdso_function);
  return {Moment::kGuest, false, false, 0, false};
}

// The kernel's mask is the guest's again, wherever the thread was on its way back into a wait.
void narrow_mask(ThreadBlock* t, KernelUcontext* context) {
  if (t->wide_mask == 0) return;
  t->wide_mask = 0;
  context->mask = t->guest_mask & ~kHostSignals;
}

constexpr std::uint64_t kExportPageBytes = 4096;

// On a jump of the export page: the function that it leads to has not begun.
Boundary on_export_page(ThreadBlock* t, KernelUcontext* context) {
  std::uint64_t* regs = context->mcontext.regs;
  auto slot = static_cast<std::uint32_t>((regs[abi::kRip] - abi::kArenaBase) / abi::kSlotBytes);
  constexpr auto kFirst = static_cast<std::uint32_t>(abi::Slot::kVdsoClockGettime);
  if (slot == static_cast<std::uint32_t>(abi::Slot::kSyscallEntry)) return in_fast_path(t, context);
  if (slot < kFirst || slot >= kFirst + kVdsoSlots) return {Moment::kHost, false, false, 0, false};
  regs[abi::kRip] = guest_vdso_function(slot);
  return {Moment::kGuest, false, false, 0, false};
}

Boundary find_boundary(ThreadBlock* t, KernelUcontext* context) {
  std::uint64_t* regs = context->mcontext.regs;
  std::uint64_t rip = regs[abi::kRip];
  if (!abi::in_arena(rip)) {
    GuestPoint point;
    if (to_guest(rip, &point)) regs[abi::kRip] = point.address;
    return {Moment::kGuest, false, false, 0, false};
  }
  if (up_to(rip, cairn_entry, cairn_slow)) return in_fast_path(t, context);
  if (rip < abi::kArenaBase + kExportPageBytes) return on_export_page(t, context);
  if (up_to(rip, cairn_tail, cairn_tail_call)) return not_made(t, context);
  if (rip == label(cairn_tail_done)) {
    narrow_mask(t, context);
    t->result = static_cast<std::int64_t>(regs[abi::kRax]);
    if (t->post != nullptr) t->result = t->post(t, t->result);
    return t->result == kAgain ? not_made(t, context) : made(t, context);
  }
  if (within(rip, cairn_exit_checked, cairn_exit_end)) return made(t, context);
  if (within(rip, cairn_retry_checked, cairn_retry_end)) return not_made(t, context);
  if (up_to(rip, cairn_sigreturn, cairn_sigreturn_done)) return not_made(t, context);
  bool in_function = within(rip, cairn_vdso_clock_gettime, cairn_vdso_end) || in_kernel_vdso(rip) ||
                     in_plain_vdso(rip);
  bool for_host = abi::in_arena(regs[abi::kRsp]);  // the host reads clocks, too
  if (in_function && !for_host) return in_vdso(t, context);
  return {Moment::kHost, false, false, 0, false};
}

}  // namespace

std::uint64_t call_site(std::uint64_t return_address) {
  return resume_point(return_address) - 2;
}

Boundary to_boundary(ThreadBlock* t, KernelUcontext* context) {
  Boundary at = find_boundary(t, context);
  if (at.moment == Moment::kGuest) narrow_mask(t, context);
  return at;
}

void leave_boundary(ThreadBlock* t, KernelUcontext* context) {
  std::uint64_t* regs = context->mcontext.regs;
  const abi::InterruptedCall& call = t->interrupted;
  bool at_call = call.valid != 0 && regs[abi::kRip] == call_site(call.return_address) &&
                 regs[abi::kRax] == call.number && regs[abi::kRsp] == call.stack_pointer;
  if (!at_call) {
    regs[abi::kRip] = to_runnable(regs[abi::kRip]);
    return;
  }
  t->return_address = regs[abi::kRcx] = call.return_address;
  t->rax = call.number;
  regs[abi::kRip] = label(cairn_slow);
  // What the wait blocks must not come in before it: natively the thread has been in it all the
  // time.
  std::uint64_t mask = 0;
  if (!wait_mask_of(call.number, regs, &mask)) return;
  context->mask |= mask & ~kHostSignals;
  t->wide_mask = 1;
}

}  // namespace cairn::runtime
