// By the very signal, since the parent is told which: with the default action, whatever the guest has
// made of it. The kernel lets no signal but SIGSTOP stop an orphaned process group (get_signal): then it
// is SIGSTOP, as the terminal's shell that would continue it is another one anyway.
//
//   signal, unblocked     stopped here                  SIGCONT: is pending, since all are blocked
//   neither stopped nor continued: SIGSTOP

#include "runtime/restorer/stop_again.h"

#include "runtime/host/job.h"
#include "runtime/host/kernel_types.h"
#include "runtime/host/thread_block.h"
#include "runtime/park/park.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

std::int32_t g_stop_signal = 0;

// To this thread: another one would begin the stop at some later time.
void raise(int signal) {
  auto tid = sys::call(__NR_gettid).value();
  (void)sys::call(__NR_tgkill, static_cast<std::uint64_t>(g_process.real_pid), tid,
                  static_cast<std::uint64_t>(signal));
}

void set_mask(std::uint64_t mask) {
  (void)sys::call(__NR_rt_sigprocmask, kSigSetmask, sys::address(&mask), 0, 8);
}

// A ptracer (src/checkpoint/stopped.h) lets it run although nobody has continued it.
bool was_stopped() {
  std::uint64_t pending = 0;
  (void)sys::call(__NR_rt_sigpending, sys::address(&pending), 8);
  const abi::ProcessSlot* slot = slot_of(&g_process);
  return (pending & signal_bit(kSigcont)) != 0 || (slot != nullptr && slot->stopped.load() != 0);
}

}  // namespace

std::int32_t keep_stop_signal(std::int32_t signal) {
  if (signal < kSigstop || signal > kSigttou) return -kEINVAL;
  g_stop_signal = signal;
  return 0;
}

void stop_again() {
  int signal = g_stop_signal;
  if (signal == 0) return;
  if (signal == kSigstop) return raise(signal);
  KernelSigaction usual{}, own{};
  auto number = static_cast<std::uint64_t>(signal);
  (void)sys::call(__NR_rt_sigaction, number, sys::address(&usual), sys::address(&own), 8);
  raise(signal);
  set_mask(~signal_bit(signal));
  set_mask(~0ULL);
  (void)sys::call(__NR_rt_sigaction, number, sys::address(&own), 0, 8);
  if (!was_stopped()) raise(kSigstop);
}

}  // namespace cairn::runtime
