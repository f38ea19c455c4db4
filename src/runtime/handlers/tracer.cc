// A debugger inside of the job. Where the door catches a system call by SIGSYS, a tracee would stop
// for a signal that there is not without Cairn: such stops are passed over, in the manner in which
// the tracee was let run, and waited for no longer.
//
// A child of vfork that is to be traced is traced from its exec on: any stop before it would be for
// ever, since its parent, who had to let it run, waits in the kernel for that exec.

#include "runtime/handlers/tracer.h"

#include <atomic>

#include "runtime/handlers/dispatch.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kTraceme = 0, kSinglestep = 9, kCont = 7, kSyscall = 24, kSysemu = 31,
                        kSysemuSinglestep = 32, kSingleblock = 33, kGetsiginfo = 0x4202;
constexpr std::int32_t kSysSeccomp = 1, kSysUserDispatch = 2;

// The last request that let a tracee run, by its tid: (tid << 32 | request). One that was pushed out
// by another tid runs on by PTRACE_CONT.
constexpr std::uint64_t kTracees = 64;
std::atomic<std::uint64_t> g_requests[kTracees];

std::uint64_t last_request(std::uint64_t tid) {
  std::uint64_t word = g_requests[tid % kTracees].load();
  return word >> 32 == tid ? word & 0xffffffff : kCont;
}

// True: it runs again.
bool passed_over(std::int32_t tid) {
  auto tracee = static_cast<std::uint64_t>(tid);
  KernelSiginfo info{};
  if (!sys::call(__NR_ptrace, kGetsiginfo, tracee, 0, sys::address(&info)).ok()) return false;
  if (info.signal != kSigsys || (info.code != kSysUserDispatch && info.code != kSysSeccomp))
    return false;
  return sys::call(__NR_ptrace, last_request(tracee), tracee, 0, kSigsys).ok();
}

std::int64_t after_wait4(ThreadBlock* t, std::int64_t result) {
  constexpr std::uint32_t kStoppedBySigsys = kSigsys << 8 | 0x7f;
  std::uint32_t status = kStoppedBySigsys;  // nobody asks, so the tracee is
  if (result <= 0 || (t->rsi != 0 && copy_from_guest(&status, t->rsi, sizeof(status)) != 0) ||
      status != kStoppedBySigsys)
    return result;
  return passed_over(static_cast<std::int32_t>(result)) ? kAgain : result;
}

std::int64_t after_waitid(ThreadBlock* t, std::int64_t result) {
  constexpr std::int32_t kTrapped = 4;  // CLD_TRAPPED
  struct {
    std::int32_t signal, error, code, pad, pid, uid, status;
  } info{};
  if (result != 0 || t->rdx == 0 || copy_from_guest(&info, t->rdx, sizeof(info)) != 0 ||
      info.code != kTrapped || info.status != kSigsys)
    return result;
  return passed_over(info.pid) ? kAgain : result;
}

Action wait4(ThreadBlock* t) { return pass(t, after_wait4); }
Action waitid(ThreadBlock* t) { return pass(t, after_waitid); }

// The tid is the kernel's here: what translates it lies above.
std::int64_t after_ptrace(ThreadBlock* t, std::int64_t result) {
  std::uint64_t request = t->tail.args[0], tid = t->tail.args[1] & 0xffffffff;
  bool runs = request == kCont || request == kSyscall || request == kSinglestep ||
              request == kSysemu || request == kSysemuSinglestep || request == kSingleblock;
  if (result == 0 && runs) g_requests[tid % kTracees].store(tid << 32 | request);
  return result;
}

Action ptrace(ThreadBlock* t) {
  if (t->rdi != kTraceme || t->vfork_child == 0) return pass(t, after_ptrace);
  t->traced_from_exec = 1;
  return done(t, 0);
}

}  // namespace

void begin_to_be_traced(ThreadBlock* t) {
  if (t->traced_from_exec == 0) return;
  t->traced_from_exec = 0;
  (void)sys::call(__NR_ptrace, kTraceme, 0, 0, 0);
}

const HandlerRow kTracerHandlers[] = {
    {__NR_wait4, wait4}, {__NR_waitid, waitid}, {__NR_ptrace, ptrace}, {0, nullptr}};

}  // namespace cairn::runtime
