#include "runtime/handlers/registrations.h"

#include <linux/capability.h>
#include <linux/membarrier.h>

#include "abi/arena.h"
#include "runtime/handlers/dispatch.h"
#include "runtime/host/maps.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kMclCurrent = 1, kMclFuture = 2, kMclOnfault = 4, kMlockOnfault = 1;
constexpr std::uint64_t kRlimitMemlock = 8, kUnlimited = ~0ULL;
constexpr std::uint32_t kRegisters =
    MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED |
    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE | (1U << 8);  // ..._RSEQ, Linux 5.10

std::uint32_t g_membarrier = 0;
std::uint32_t g_lock_future = 0;

std::int64_t after_membarrier(ThreadBlock* t, std::int64_t result) {
  auto command = static_cast<std::uint32_t>(t->rdi);
  if (result == 0 && (command & kRegisters) == command)
    __atomic_fetch_or(&g_membarrier, command, __ATOMIC_RELAXED);
  return result;
}

Action membarrier(ThreadBlock* t) { return pass(t, after_membarrier); }

void lock_future(std::uint32_t flags) {
  g_lock_future = flags;
  expect_locked_mappings(flags != 0);
}

// ---- mlockall
//
// The kernel would lock the arena too, 256 GiB of which are only reserved, and count it against the
// guest's RLIMIT_MEMLOCK. So what is mapped is locked region by region; what will be is left to the
// kernel, and the host's own mappings avoid it (map_host_at).

bool may_lock_anything() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {};
  auto got = sys::call(__NR_capget, sys::address(&header), sys::address(sets));
  return got.ok() && (sets[0].effective & (1U << CAP_IPC_LOCK)) != 0;
}

std::uint64_t limit_of_locked_memory() {
  std::uint64_t limits[2] = {kUnlimited, kUnlimited};
  (void)sys::call(__NR_prlimit64, 0, kRlimitMemlock, 0, sys::address(limits));
  return limits[0];
}

struct Walk {
  std::uint64_t flags;  // of mlock2
  std::uint64_t bytes;
};

bool is_guests(const Mapping& mapping) {
  constexpr std::uint64_t kUserEnd = 1ULL << 47;  // above it lies [vsyscall]
  return !abi::in_arena(mapping.start) && mapping.start < kUserEnd;
}

void count(const Mapping& mapping, void* context) {
  if (is_guests(mapping)) static_cast<Walk*>(context)->bytes += mapping.end - mapping.start;
}

// Whether all pages could be made present does not matter to mlockall, and so not here.
void lock(const Mapping& mapping, void* context) {
  if (!is_guests(mapping)) return;
  (void)sys::call(__NR_mlock2, mapping.start, mapping.end - mapping.start,
                  static_cast<Walk*>(context)->flags);
}

// The kernel's own checks, in its order, with the guest's memory in place of all.
std::int64_t lock_current(std::uint64_t flags) {
  std::uint64_t limit = limit_of_locked_memory();
  Walk walk{(flags & kMclOnfault) != 0 ? kMlockOnfault : 0, 0};
  bool anything = may_lock_anything();
  if (limit == 0 && !anything) return -kEPERM;
  if (!each_mapping(count, &walk)) return -kENOMEM;
  if (walk.bytes > limit && !anything) return -kENOMEM;
  // MCL_FUTURE of before ends with a call that does not name it.
  if ((flags & kMclFuture) == 0 && g_lock_future != 0) {
    (void)sys::call(__NR_munlockall);
    lock_future(0);
  }
  return each_mapping(lock, &walk) ? 0 : -kENOMEM;
}

Action mlockall(ThreadBlock* t) {
  std::uint64_t flags = t->rdi & 0xffffffff;
  if (flags == 0 || flags == kMclOnfault || flags > (kMclCurrent | kMclFuture | kMclOnfault))
    return done(t, -kEINVAL);
  if ((flags & kMclCurrent) != 0) {
    std::int64_t locked = lock_current(flags);
    if (locked != 0 || (flags & kMclFuture) == 0) return done(t, locked);
  }
  std::uint64_t future = flags & ~kMclCurrent;
  std::int64_t result = sys::call(__NR_mlockall, future).raw;
  if (result == 0) lock_future(static_cast<std::uint32_t>(future));
  return done(t, result);
}

std::int64_t after_munlockall(ThreadBlock*, std::int64_t result) {
  if (result == 0) lock_future(0);
  return result;
}

Action munlockall(ThreadBlock* t) { return pass(t, after_munlockall); }

}  // namespace

std::uint32_t membarrier_registrations() { return g_membarrier; }
std::uint32_t lock_future_flags() { return g_lock_future; }

void set_registrations(std::uint32_t membarrier, std::uint32_t future) {
  g_membarrier = membarrier;
  lock_future(future);
}

void forget_locks_after_fork() { lock_future(0); }

const HandlerRow kRegistrationHandlers[] = {{__NR_membarrier, membarrier},
                                            {__NR_mlockall, mlockall},
                                            {__NR_munlockall, munlockall},
                                            {0, nullptr}};

}  // namespace cairn::runtime
