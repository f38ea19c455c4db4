#include "runtime/restorer/ids.h"

#include "abi/arena.h"
#include "runtime/host/support.h"

// A small table of the pairs that differ. Readers take no lock: a pair is published by its virtual
// id last and withdrawn by its virtual id first.

namespace cairn::runtime {
namespace {

struct Pair {
  std::int32_t virtual_id;
  std::int32_t real_id;
};

constexpr std::uint32_t kPairs = 8192;
constexpr std::int32_t kFirstInvented = 4'000'000;  // above the default pid_max of big machines
constexpr std::int32_t kNobody = 0x7ffffff0;        // no thread has this real id
Pair g_pairs[kPairs];
std::uint32_t g_used = 0;
std::int32_t g_next_invented = kFirstInvented;
std::uint32_t g_lock = 0;

void lock() {
  while (__atomic_exchange_n(&g_lock, 1, __ATOMIC_ACQUIRE) != 0) asm volatile("pause");
}
void unlock() { __atomic_store_n(&g_lock, 0, __ATOMIC_RELEASE); }

std::uint32_t used() { return __atomic_load_n(&g_used, __ATOMIC_ACQUIRE); }

std::int32_t find_virtual(std::int32_t real_id) {
  for (std::uint32_t i = 0; i < used(); ++i)
    if (g_pairs[i].real_id == real_id && g_pairs[i].virtual_id != 0) return g_pairs[i].virtual_id;
  return 0;
}

std::int32_t find_real(std::int32_t virtual_id) {
  for (std::uint32_t i = 0; i < used(); ++i)
    if (g_pairs[i].virtual_id == virtual_id) return g_pairs[i].real_id;
  return 0;
}

void insert(std::int32_t virtual_id, std::int32_t real_id) {
  std::uint32_t i = 0;
  while (i < g_used && g_pairs[i].virtual_id != 0) ++i;
  if (i == kPairs) die("too many processes and threads since the restart");
  g_pairs[i].real_id = real_id;
  __atomic_store_n(&g_pairs[i].virtual_id, virtual_id, __ATOMIC_RELEASE);
  if (i == g_used) __atomic_store_n(&g_used, i + 1, __ATOMIC_RELEASE);
}

}  // namespace

bool ids_shifted() { return used() != 0; }

std::int32_t adopt_new_id(std::int32_t real) {
  if (!ids_shifted()) return real;
  lock();
  // A stale pair for this real id belongs to a thread that is gone: the kernel uses it anew.
  std::int32_t known = find_virtual(real);
  if (known == 0 && find_real(real) == 0) known = real;  // free: no pair is needed
  if (known == 0) insert(known = g_next_invented++, real);
  unlock();
  return known;
}

std::int32_t virtual_of_new_child(std::int32_t real) { return adopt_new_id(real); }

void release_ids(const ThreadBlock* t) {
  if (!ids_shifted() || t->virtual_tid == t->process->virtual_pid) return;
  lock();
  for (std::uint32_t i = 0; i < g_used; ++i)
    if (g_pairs[i].virtual_id == t->virtual_tid) {
      __atomic_store_n(&g_pairs[i].virtual_id, 0, __ATOMIC_RELEASE);
      g_pairs[i].real_id = 0;
    }
  unlock();
}

void ids_lock_after_fork() { unlock(); }

std::int32_t to_real(std::int32_t virtual_id) {
  if (virtual_id <= 0 || !ids_shifted()) return virtual_id;
  std::int32_t real = find_real(virtual_id);
  if (real != 0) return real;
  // The number as such: some other process of the machine, unless it is one of ours by another name.
  return find_virtual(virtual_id) != 0 ? kNobody : virtual_id;
}

std::int32_t to_virtual(std::int32_t real_id) {
  if (real_id <= 0 || !ids_shifted()) return real_id;
  std::int32_t known = find_virtual(real_id);
  return known != 0 ? known : real_id;
}

// A CPU clock of a process or thread holds its id: ~id << 3 | kind (the kernel's MAKE_PROCESS_CPUCLOCK).
std::int64_t real_clock(std::int64_t clock) {
  auto id = static_cast<std::int32_t>(clock);
  bool of_descriptor = (id & 7) == 3;
  if (id >= 0 || of_descriptor) return clock;
  std::int32_t owner = ~(id >> 3);
  return (~to_real(owner) << 3) | (id & 7);
}

void bind_id(std::int32_t virtual_id, std::int32_t real_id) {
  lock();
  insert(virtual_id, real_id);
  unlock();
}

}  // namespace cairn::runtime
