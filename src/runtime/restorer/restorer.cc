#include "runtime/restorer/restorer.h"

#include "abi/arena.h"
#include "runtime/host/job.h"
#include "runtime/host/support.h"
#include "runtime/link/server.h"
#include "runtime/restorer/make_threads.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kTaskEnd = 0x7ffffffff000;

// What the kernel mapped for this program outside of the arena: its stack. Nothing of the guest is
// there yet.
void empty_guest_space() {
  (void)sys::call(__NR_munmap, 0, abi::kArenaBase);
  (void)sys::call(__NR_munmap, abi::kArenaEnd, kTaskEnd - abi::kArenaEnd);
}

}  // namespace

void restore_process(const KernelStart& start, const BootOptions& boot) {
  (void)start;  // lies on the stack that goes away
  (void)boot;
  ThreadBlock* t = current();
  std::uint64_t all = ~0ULL;
  (void)sys::call(__NR_rt_sigprocmask, 2, sys::address(&all), 0, 8);
  empty_guest_space();
  static LinkServer server;
  if (!server.connect(abi::LinkPurpose::kRestore, -1, 0)) die("cannot reach the agent of this restart");
  bool complete = server.serve(t);
  server.close();
  if (!complete) (void)sys::call(__NR_exit_group, kExitFailed);  // the agent has said why
  go(t);
}

}  // namespace cairn::runtime
