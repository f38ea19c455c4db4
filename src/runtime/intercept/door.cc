// How the kernel is told to send every system call of the guest to us:
//
//   Syscall User Dispatch (5.11)  any syscall instruction outside the arena raises SIGSYS; per
//                                 thread, off after clone, fork and exec
//   seccomp                       a filter on the instruction pointer with RET_TRAP; inherited by
//                                 everything, for ever, so nothing can run natively any more
//
// Patched sites (patcher.h) make either rare.

#include "runtime/intercept/door.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "abi/arena.h"
#include "runtime/host/job.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kPrSetSyscallUserDispatch = 59, kDispatchOn = 1;
constexpr std::uint64_t kPrSetNoNewPrivs = 38, kPrGetNoNewPrivs = 39, kArchSetGs = 0x1001;
bool g_fsgsbase = false;
bool g_seccomp = false;
bool g_dispatch = false;

bool arm_dispatch() {
  return sys::call(__NR_prctl, kPrSetSyscallUserDispatch, kDispatchOn, abi::kArenaBase,
                   abi::kArenaSize, 0)
      .ok();
}

constexpr std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }
constexpr std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }

// The arena's bounds are multiples of 4 GiB, so the upper half of the address decides.
void install_filter() {
  static_assert(low(abi::kArenaBase) == 0 && low(abi::kArenaEnd) == 0);
  constexpr std::uint32_t kIpHigh = offsetof(seccomp_data, instruction_pointer) + 4;
  static const sock_filter kCode[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kIpHigh),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, high(abi::kArenaBase), 0, 2),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, high(abi::kArenaEnd), 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
  };
  const sock_fprog program{sizeof(kCode) / sizeof(kCode[0]), const_cast<sock_filter*>(kCode)};
  g_process.no_new_privs_is_ours = sys::call(__NR_prctl, kPrGetNoNewPrivs, 0, 0, 0, 0).raw == 0;
  (void)sys::call(__NR_prctl, kPrSetNoNewPrivs, 1, 0, 0, 0);
  auto done = sys::call(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, sys::address(&program));
  if (!done.ok()) die("neither Syscall User Dispatch nor seccomp is available; error", done.raw);
  g_seccomp = true;
}

}  // namespace

void set_fsgsbase(bool available) { g_fsgsbase = available; }

void set_gs(ThreadBlock* t) {
  if (g_fsgsbase)
    asm volatile("wrgsbase %0" : : "r"(t) : "memory");
  else
    (void)sys::call(__NR_arch_prctl, kArchSetGs, sys::address(t));
}

void arm_thread(ThreadBlock* t) {
  set_gs(t);
  KernelStack stack{t->sigstack, 0, 0, t->sigstack_bytes};
  auto done = sys::call(__NR_sigaltstack, sys::address(&stack), 0);
  if (!done.ok()) die("cannot set a signal stack; error", done.raw);
  if (g_dispatch && !arm_dispatch()) die("cannot turn Syscall User Dispatch on");
}

void arm_process(bool filter_already_installed) {
  g_seccomp = filter_already_installed;
  abi::DoorMode mode = door_mode();
  if (mode == abi::DoorMode::kPatchOnly || g_seccomp) return;
  if (mode == abi::DoorMode::kSeccomp) return install_filter();
  g_dispatch = arm_dispatch();
  if (!g_dispatch && mode == abi::DoorMode::kDispatch)
    die("this kernel has no Syscall User Dispatch (5.11 or newer)");
  if (!g_dispatch) install_filter();
}

bool seccomp_installed() { return g_seccomp; }

bool guest_has_no_new_privs(const Process& process) {
  return !process.no_new_privs_is_ours &&
         sys::call(__NR_prctl, kPrGetNoNewPrivs, 0, 0, 0, 0).raw == 1;
}

}  // namespace cairn::runtime
