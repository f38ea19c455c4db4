// The runtime's first function in a new process: as a list of steps.

#include <elf.h>

#include "abi/boot.h"
#include "runtime/handlers/dispatch.h"
#include "runtime/host/arena.h"
#include "runtime/host/job.h"
#include "runtime/host/journal.h"
#include "runtime/host/maps.h"
#include "runtime/host/support.h"
#include "runtime/intercept/cpu_view.h"
#include "runtime/intercept/door.h"
#include "runtime/intercept/entry.h"
#include "runtime/intercept/extended_state.h"
#include "runtime/intercept/front.h"
#include "runtime/intercept/vdso.h"
#include "runtime/loader/agent_start.h"
#include "runtime/loader/boot_options.h"
#include "runtime/loader/start.h"
#include "runtime/park/park.h"
#include "runtime/restorer/restorer.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

void set_up_first_thread() {
  ThreadBlock* t = allocate_block();
  if (t == nullptr) die("no memory for the runtime");
  t->sighand = &g_sighand;
  t->process = &g_process;
  t->real_tid = static_cast<std::int32_t>(sys::call(__NR_gettid).raw);
  t->virtual_tid = t->real_tid;
  set_gs(t);
}

// What the guest inherits through exec: ignored signals and the mask. The host's own signals stay
// blocked: a park request that came before there was a handler waits until the guest is entered.
void inherit_signals(ThreadBlock* t, const BootOptions& boot) {
  for (int signal = 1; signal <= 64; ++signal) {
    KernelSigaction now{};
    (void)sys::call(__NR_rt_sigaction, static_cast<std::uint64_t>(signal), 0, sys::address(&now), 8);
    bool ignored = now.handler == kSigIgn || (boot.ignored & signal_bit(signal)) != 0;
    g_sighand.actions[signal].handler = ignored ? kSigIgn : kSigDfl;
  }
  std::uint64_t mask = 0;
  (void)sys::call(__NR_rt_sigprocmask, kSigSetmask, 0, sys::address(&mask), 8);
  // An exec under Cairn has blocked all of them; the guest's mask is in the boot string.
  t->guest_mask = boot.operation == BootOperation::kExec ? boot.blocked : mask;
  mask |= kHostSignals;
  (void)sys::call(__NR_rt_sigprocmask, kSigSetmask, sys::address(&mask), 0, 8);
}

// The first instruction of a program, with its mask: what was pending is taken there.
[[noreturn]] void enter_guest(ThreadBlock* t, const EntryPoint& entry) {
  constexpr std::uint64_t kUserCode = 0x33, kUserData = 0x2b, kInterruptsOn = 0x202;
  auto* context = reinterpret_cast<KernelUcontext*>(t->return_frame);
  memset(context, 0, sizeof(*context));
  std::uint64_t* regs = context->mcontext.regs;
  regs[abi::kRip] = entry.rip;
  regs[abi::kRsp] = entry.rsp;
  regs[abi::kEflags] = kInterruptsOn;
  regs[abi::kCsGsFs] = kUserCode | kUserData << 48;
  context->mask = t->guest_mask & ~kHostSignals;
  context->stack = {t->sigstack, 0, 0, t->sigstack_bytes};
  cairn_sigreturn_to(context);
}

}  // namespace
}  // namespace cairn::runtime

using namespace cairn::runtime;

extern "C" [[noreturn]] void cairn_main(std::uint64_t* stack) {
  KernelStart start = read_start(stack);
  static BootOptions boot;
  read_boot_options(start, &boot);
  claim_arena();
  set_fsgsbase((auxv_value(start, AT_HWCAP2) & 2) != 0);
  set_up_first_thread();
  ThreadBlock* t = current();
  adopt_kernel_vdso(auxv_value(start, AT_SYSINFO_EHDR));
  wait_for_segment(boot.agent_report);
  attach_job(boot.segment);
  set_door_mode(boot.mode);
  build_fast_table();
  g_process.real_pid = t->real_tid;
  g_process.virtual_pid = boot.virtual_pid != 0 ? boot.virtual_pid : t->real_tid;
  g_process.parent_slot = -1;
  t->virtual_tid = g_process.virtual_pid;
  inherit_signals(t, boot);
  install_host_actions();
  arm_process(boot.seccomp);
  if (boot.operation == BootOperation::kRestore) measure_extended_state();
  arm_cpu_view();
  arm_thread(t);
  adopt_journal(nullptr);
  if (boot.operation == BootOperation::kRestore) restore_process(start, boot);

  resume_boot_state(boot);
  join_job(&g_process, boot.slot);
  ProgramRequest request{boot.program_path, boot.program_fd, start.argv + 3, start.argc - 3,
                         boot.nameless, boot.agent_report};
  EntryPoint entry = start_program(start, request);
  unmap_around(cairn::sys::address(stack));
  wait_for_agent(boot.agent_report);
  park_if_frozen(t);
  enter_guest(t, entry);
}
