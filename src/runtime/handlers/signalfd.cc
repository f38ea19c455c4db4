// A signalfd whose mask names signals that the kernel never has pending, since they are the host's.
//
// SIGSYS may stay in the kernel's mask: what the door sends itself of it is never pending while a
// thread reads. The park signal may not: a reader would take the request. What the guest has pending of
// either is held by the runtime (held_signals.h), so a read of such a descriptor looks there first. In
// a process without one, read goes the fast path.
//
// poll and epoll do not see what is held, and a duplicate of the descriptor does not know of it.

#include <linux/signalfd.h>

#include "runtime/handlers/process.h"
#include "runtime/host/support.h"
#include "runtime/intercept/held_signals.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr int kKnown = 64;

// Descriptor plus one, and its host-owned signals; a number that is used for something else by now is
// told by its link.
struct HostSignalfd {
  std::int32_t number;
  std::uint32_t pad;
  std::uint64_t set;
};
HostSignalfd g_known[kKnown];

void remember(std::int32_t fd, std::uint64_t set) {
  for (HostSignalfd& known : g_known) {
    std::int32_t expected = __atomic_load_n(&known.number, __ATOMIC_ACQUIRE);
    if (expected != 0 && expected != fd + 1) continue;
    if (!__atomic_compare_exchange_n(&known.number, &expected, fd + 1, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE))
      continue;
    known.set = set;
    return;
  }
}

bool is_signalfd(std::int32_t fd) {
  char path[64];
  char link[64] = {};
  append_decimal(append(path, "/proc/self/fd/"), fd);
  auto length = sys::call(__NR_readlink, sys::address(path), sys::address(link), sizeof(link) - 1);
  return length.ok() && string_equal(link, "anon_inode:[signalfd]");
}

std::uint64_t host_signals_of(std::int32_t fd) {
  for (const HostSignalfd& known : g_known)
    if (__atomic_load_n(&known.number, __ATOMIC_ACQUIRE) == fd + 1) return known.set;
  return 0;
}

signalfd_siginfo as_record(const KernelSiginfo& info) {
  constexpr std::int32_t kSiTimer = -2;
  signalfd_siginfo out{};
  out.ssi_signo = static_cast<std::uint32_t>(info.signal);
  out.ssi_errno = info.error;
  out.ssi_code = info.code;
  bool timer = info.code == kSiTimer;
  (timer ? out.ssi_tid : out.ssi_pid) = static_cast<std::uint32_t>(info.sent.pid);
  (timer ? out.ssi_overrun : out.ssi_uid) = info.sent.uid;
  out.ssi_int = static_cast<std::int32_t>(info.sent.value);
  out.ssi_ptr = info.sent.value;
  return out;
}

std::int64_t after_read(ThreadBlock* t, std::int64_t result) {
  __atomic_store_n(&t->waited_set, 0, __ATOMIC_SEQ_CST);
  return result;
}

Action read(ThreadBlock* t) {
  auto fd = static_cast<std::int32_t>(t->rdi);
  std::uint64_t set = host_signals_of(fd);
  if (set == 0 || t->rdx < sizeof(signalfd_siginfo) || !is_signalfd(fd)) return pass(t);
  // Announced first, as in rt_sigtimedwait.
  __atomic_store_n(&t->waited_set, set, __ATOMIC_SEQ_CST);
  if (held_signals(t, set) == 0) return pass(t, after_read);
  block_signals(t);
  if (t->deferred != 0) return Action::kRetry;  // a signal came first
  unblock_on_exit(t);
  t->waited_set = 0;
  KernelSiginfo info;
  if (!take_held_signal(t, set, &info)) return Action::kRetry;
  signalfd_siginfo record = as_record(info);
  if (copy_to_guest(t->rsi, &record, sizeof(record)) != 0) return done(t, -kEFAULT);
  return done(t, sizeof(record));
}

const HandlerRow kReadOfSignalfd[] = {{__NR_read, read}, {0, nullptr}};

std::int64_t after_signalfd(ThreadBlock* t, std::int64_t result) {
  if (result >= 0) remember(static_cast<std::int32_t>(result), t->mask_argument[1]);
  return result;
}

Action signalfd(ThreadBlock* t) {
  std::uint64_t set = 0;
  pass(t);
  if (t->rdx != 8 || copy_from_guest(&set, t->rsi, sizeof(set)) != 0) return Action::kTail;
  t->mask_argument[0] = set & ~signal_bit(abi::kParkSignal);
  t->mask_argument[1] = set & kHostSignals;
  t->tail.args[1] = sys::address(&t->mask_argument[0]);
  bool had = static_cast<std::int32_t>(t->rdi) >= 0 && host_signals_of(static_cast<std::int32_t>(t->rdi)) != 0;
  if (t->mask_argument[1] == 0 && !had) return Action::kTail;
  arm(kReadOfSignalfd);
  t->post = after_signalfd;
  return Action::kTail;
}

}  // namespace

const HandlerRow kSignalfdHandlers[] = {{__NR_signalfd, signalfd},
                                        {__NR_signalfd4, signalfd},
                                        {0, nullptr}};

}  // namespace cairn::runtime
