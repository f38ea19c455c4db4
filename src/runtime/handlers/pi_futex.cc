// The kernel compares the word of a PI futex with real tids; after a restart the guest writes its old
// ones (glibc caches its tid). So the protocol is kept up here: the word is 0, or the owner's virtual
// tid with FUTEX_WAITERS once somebody waits. Priority is not inherited.

#include "runtime/handlers/pi_futex.h"

#include "runtime/handlers/dispatch.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kUnlockPi = 7, kTrylockPi = 8, kLockPi2 = 13;
constexpr std::uint64_t kPrivate = 128, kRealtime = 256;
constexpr std::uint32_t kWaiters = 0x80000000, kOwnerDied = 0x40000000, kTidMask = 0x3fffffff;
constexpr int kEDEADLK = 35;
constexpr std::int64_t kSlice = 20'000'000;  // ns

// The word lies in guest memory that the caller has just used for its own fast path; that it can be
// read is checked once.
std::uint32_t* word_of(const ThreadBlock* t) { return reinterpret_cast<std::uint32_t*>(t->rdi); }

bool exchange(std::uint32_t* word, std::uint32_t& expected, std::uint32_t wanted) {
  return __atomic_compare_exchange_n(word, &expected, wanted, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

bool take(ThreadBlock* t, std::uint32_t waiters) {
  std::uint32_t* word = word_of(t);
  std::uint32_t now = __atomic_load_n(word, __ATOMIC_SEQ_CST);
  while ((now & kTidMask) == 0) {
    std::uint32_t mine = static_cast<std::uint32_t>(t->virtual_tid) | (now & (kWaiters | kOwnerDied)) | waiters;
    if (exchange(word, now, mine)) return true;
  }
  return false;
}

bool expired(const ThreadBlock* t, std::uint64_t command, Timespec* limit) {
  if (t->r10 == 0) return false;
  if (copy_from_guest(limit, t->r10, sizeof(*limit)) != 0) return true;
  std::uint64_t clock = command == kLockPi2 && (t->rsi & kRealtime) == 0 ? 1 : 0;
  Timespec now{};
  (void)sys::call(__NR_clock_gettime, clock, sys::address(&now));
  return now.sec > limit->sec || (now.sec == limit->sec && now.nsec >= limit->nsec);
}

// Waits in short slices, each of which a deferred signal ends: then the guest meets it at its call
// site and the lock is asked for anew.
Action lock(ThreadBlock* t, std::uint64_t command) {
  std::uint32_t* word = word_of(t);
  auto mine = static_cast<std::uint32_t>(t->virtual_tid);
  for (std::uint32_t waiters = 0;; waiters = kWaiters) {
    if (take(t, waiters)) return done(t, 0);
    std::uint32_t now = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    if ((now & kTidMask) == mine) return done(t, -kEDEADLK);
    if ((now & kTidMask) == 0) continue;
    if ((now & kWaiters) == 0 && !exchange(word, now, now | kWaiters)) continue;
    Timespec limit{};
    if (expired(t, command, &limit)) return done(t, -kETIMEDOUT);
    if (t->deferred != 0) return Action::kRetry;
    Timespec slice{0, kSlice};
    (void)sys::call(__NR_futex, t->rdi, t->rsi & kPrivate, now | kWaiters, sys::address(&slice));
  }
}

Action unlock(ThreadBlock* t) {
  std::uint32_t* word = word_of(t);
  std::uint32_t now = __atomic_load_n(word, __ATOMIC_SEQ_CST);
  if ((now & kTidMask) != static_cast<std::uint32_t>(t->virtual_tid)) return done(t, -kEPERM);
  __atomic_store_n(word, 0, __ATOMIC_SEQ_CST);
  (void)sys::call(__NR_futex, t->rdi, 1 | (t->rsi & kPrivate), 1);
  return done(t, 0);
}

}  // namespace

Action pi_futex(ThreadBlock* t, std::uint64_t command) {
  std::uint32_t probe = 0;
  if (copy_from_guest(&probe, t->rdi, sizeof(probe)) != 0) return done(t, -kEFAULT);
  if (command == kUnlockPi) return unlock(t);
  if (command == kTrylockPi) return done(t, take(t, 0) ? 0 : -kEAGAIN);
  return lock(t, command);
}

}  // namespace cairn::runtime
