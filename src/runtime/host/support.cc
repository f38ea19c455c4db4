#include "runtime/host/support.h"

#include "abi/arena.h"
#include "runtime/host/kernel_types.h"
#include "runtime/host/thread_block.h"
#include "runtime/intercept/entry.h"

extern "C" {
void* memcpy(void* to, const void* from, std::size_t n) {
  void* start = to;
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
  return start;
}

void* memset(void* to, int byte, std::size_t n) {
  void* start = to;
  asm volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(byte) : "memory");
  return start;
}

void* memmove(void* to, const void* from, std::size_t n) {
  if (static_cast<char*>(to) <= static_cast<const char*>(from)) return memcpy(to, from, n);
  auto* out = static_cast<volatile char*>(to);
  auto* in = static_cast<const char*>(from);
  while (n-- > 0) out[n] = in[n];
  return to;
}

int memcmp(const void* a, const void* b, std::size_t n) {
  auto* x = static_cast<const unsigned char*>(a);
  auto* y = static_cast<const unsigned char*>(b);
  for (std::size_t i = 0; i < n; ++i)
    if (x[i] != y[i]) return x[i] - y[i];
  return 0;
}
}

namespace cairn::runtime {

std::size_t string_length(const char* s) {
  std::size_t n = 0;
  while (s[n] != 0) ++n;
  return n;
}

bool string_equal(const char* a, const char* b) {
  while (*a != 0 && *a == *b) ++a, ++b;
  return *a == *b;
}

bool starts_with(const char* s, const char* prefix) {
  while (*prefix != 0)
    if (*s++ != *prefix++) return false;
  return true;
}

bool string_copy(char* to, std::size_t room, const char* from) {
  std::size_t n = 0;
  while (n + 1 < room && from[n] != 0) to[n] = from[n], ++n;
  to[n] = 0;
  return from[n] == 0;
}

char* append(char* at, const char* s) {
  while (*s != 0) *at++ = *s++;
  *at = 0;
  return at;
}

char* append_decimal(char* at, std::int64_t value) {
  char digits[24];
  int n = 0;
  auto rest = static_cast<std::uint64_t>(value < 0 ? -value : value);
  do digits[n++] = static_cast<char>('0' + rest % 10);
  while ((rest /= 10) != 0);
  if (value < 0) *at++ = '-';
  while (n > 0) *at++ = digits[--n];
  *at = 0;
  return at;
}

char* append_hex(char* at, std::uint64_t value) {
  *at++ = '0';
  *at++ = 'x';
  int shift = 60;
  while (shift > 0 && (value >> shift) == 0) shift -= 4;
  for (; shift >= 0; shift -= 4) *at++ = "0123456789abcdef"[(value >> shift) & 15];
  *at = 0;
  return at;
}

namespace {

// With SIGSEGV or SIGBUS blocked a fault would be death: let the kernel do the copy.
bool faults_are_deadly() {
  ThreadBlock* t = current();
  return t != nullptr &&
         (t->deferred != 0 || t->faults_blocked != 0 || (t->guest_mask & (signal_bit(kSigsegv) | signal_bit(kSigbus))) != 0);
}

int copy_by_kernel(long call, std::uint64_t local, std::uint64_t remote, std::size_t bytes) {
  std::uint64_t here[2] = {local, bytes};
  std::uint64_t there[2] = {remote, bytes};
  // Not the pid: the first thread may have ended.
  auto tid = static_cast<std::uint64_t>(current()->real_tid);
  auto done = sys::call(call, tid, sys::address(here), 1, sys::address(there), 1, 0);
  return done.raw == static_cast<std::int64_t>(bytes) ? 0 : -kEFAULT;
}

}  // namespace

int copy_from_guest(void* to, std::uint64_t from, std::size_t bytes) {
  if (faults_are_deadly()) return copy_by_kernel(__NR_process_vm_readv, sys::address(to), from, bytes);
  return static_cast<int>(cairn_copy(to, reinterpret_cast<const void*>(from), bytes));
}

int copy_to_guest(std::uint64_t to, const void* from, std::size_t bytes) {
  if (faults_are_deadly()) return copy_by_kernel(__NR_process_vm_writev, sys::address(from), to, bytes);
  return static_cast<int>(cairn_copy(reinterpret_cast<void*>(to), from, bytes));
}

std::int64_t string_from_guest(char* to, std::size_t room, std::uint64_t from) {
  // Whole pieces up to the next page boundary: the string may end right before an unmapped page.
  std::size_t done = 0;
  while (done < room) {
    std::size_t piece = 256 - (from + done) % 256;
    if (piece > room - done) piece = room - done;
    if (copy_from_guest(to + done, from + done, piece) != 0) return -kEFAULT;
    for (std::size_t i = 0; i < piece; ++i)
      if (to[done + i] == 0) return static_cast<std::int64_t>(done + i);
    done += piece;
  }
  return -kENAMETOOLONG;
}

bool g_keep_reserved = true;
bool g_lock_future = false;

void expect_locked_mappings(bool locked) { g_lock_future = locked; }

void leave_unlocked(std::uint64_t at, std::uint64_t bytes) {
  if (g_lock_future) (void)sys::call(__NR_munlock, at, bytes);
}

sys::SysResult map_host_at(std::uint64_t at, std::uint64_t bytes) {
  // A new mapping would be locked, and count against the guest's RLIMIT_MEMLOCK; what is reserved is
  // not, and stays so.
  if (g_lock_future && sys::call(__NR_mprotect, at, bytes, 3).ok()) return {static_cast<std::int64_t>(at)};
  constexpr std::uint64_t kFlags = 0x4032;  // MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED|MAP_NORESERVE
  auto mapped = sys::call(__NR_mmap, at, bytes, 3, kFlags, static_cast<std::uint64_t>(-1), 0);
  if (mapped.ok()) leave_unlocked(at, bytes);
  return mapped;
}

// From the second half of the host heap upwards, never the same addresses twice: a vfork child may
// leave a piece mapped when it execs, and two threads may ask at once.
sys::SysResult map_host(std::uint64_t bytes) {
  static std::uint64_t next = abi::kHostHeap + abi::kHostHeapSize / 2;
  std::uint64_t span = (bytes + 0xffff) & ~0xffffULL;
  std::uint64_t at = __atomic_fetch_add(&next, span, __ATOMIC_RELAXED);
  if (at + span > abi::kHostHeap + abi::kHostHeapSize) {
    __atomic_store_n(&next, abi::kHostHeap + abi::kHostHeapSize / 2, __ATOMIC_RELAXED);
    return map_host(bytes);
  }
  return map_host_at(at, span);
}

void unmap_host(std::uint64_t at, std::uint64_t bytes) {
  std::uint64_t span = (bytes + 0xffff) & ~0xffffULL;  // stays reserved
  if (g_keep_reserved && g_lock_future) {
    constexpr std::uint64_t kDontneed = 4;
    (void)sys::call(__NR_madvise, at, span, kDontneed);
    (void)sys::call(__NR_mprotect, at, span, 0);
  } else if (g_keep_reserved)
    (void)sys::call(__NR_mmap, at, span, 0, 0x4032, static_cast<std::uint64_t>(-1), 0);
  else
    (void)sys::call(__NR_munmap, at, span);
}

void release_host_memory() {
  g_keep_reserved = false;
  (void)sys::call(__NR_munmap, abi::kHostHeap + abi::kHostHeapSize / 2, 1ULL << 30);
}

void say(const char* text, const char* detail) {
  char line[1024];
  char* at = append(line, "cairn: ");
  at = append(at, text);
  if (detail != nullptr && string_length(detail) < 700) at = append(append(at, " "), detail);
  *at++ = '\n';
  (void)sys::call(__NR_write, 2, sys::address(line), static_cast<std::uint64_t>(at - line));
}

void die(const char* text, std::int64_t detail) {
  char number[32];
  append_decimal(number, detail);
  say(text, detail != 0 ? number : nullptr);
  for (;;) (void)sys::call(__NR_exit_group, kExitRuntime);
}

}  // namespace cairn::runtime
