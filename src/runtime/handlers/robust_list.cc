// Robust futexes of threads whose tid in guest memory is not the kernel's.
//
// The kernel walks a thread's list when it ends and marks each word that holds the thread's tid
// with FUTEX_OWNER_DIED (kernel/futex/core.c: exit_robust_list). After a restart the words hold
// virtual tids, which it passes over; so the same is done here, before the thread ends.
//
// A word that holds the tid of a thread that is about to end is changed by others only to set
// FUTEX_WAITERS. That bit is set here in any case and one waiter is always woken, so plain loads
// and stores do, through copies that survive an address that is not mapped any more.

#include "runtime/handlers/robust_list.h"

#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint32_t kWaiters = 0x80000000, kOwnerDied = 0x40000000, kTidMask = 0x3fffffff;
constexpr int kMostEntries = 2048;  // ROBUST_LIST_LIMIT: the list may be a ring
constexpr std::uint64_t kWake = 1, kPrivate = 128;

// struct robust_list_head. Bit 0 of a pointer to an entry marks a priority-inheritance futex.
struct Head {
  std::uint64_t next;
  std::int64_t futex_offset;
  std::uint64_t pending;
};

struct Leaving {
  std::uint32_t tid;
  RobustUndo* undo;
};

void wake_one(std::uint64_t word, bool inherits) {
  (void)sys::call(__NR_futex, word, kWake, 1);
  // The emulation of priority inheritance waits by the flags of its call (pi_futex.cc).
  if (inherits) (void)sys::call(__NR_futex, word, kWake | kPrivate, 1);
}

void note(RobustUndo* undo, std::uint64_t address, std::uint32_t before, std::uint32_t after) {
  if (undo != nullptr && undo->count < RobustUndo::kMost)
    undo->words[undo->count++] = {address, before, after};
}

// False ends the walk, as it does in the kernel.
bool leave_word(const Leaving& leaving, std::uint64_t address, bool inherits, bool pending) {
  std::uint32_t word = 0;
  if ((address & 3) != 0 || copy_from_guest(&word, address, sizeof(word)) != 0) return false;
  std::uint32_t owner = word & kTidMask;
  // An unlock that had cleared the word and not yet woken anybody.
  if (pending && !inherits && owner == 0) wake_one(address, false);
  if (owner != leaving.tid) return true;
  std::uint32_t died = kWaiters | kOwnerDied;
  if (copy_to_guest(address, &died, sizeof(died)) != 0) return false;
  note(leaving.undo, address, word, died);
  wake_one(address, inherits);
  return true;
}

void walk(ThreadBlock* t, const Leaving& leaving) {
  Head head;
  if (copy_from_guest(&head, t->robust_list, sizeof(head)) != 0) return;
  auto word_of = [&](std::uint64_t entry) {
    return (entry & ~1ULL) + static_cast<std::uint64_t>(head.futex_offset);
  };
  std::uint64_t entry = head.next;
  for (int i = 0; i < kMostEntries && (entry & ~1ULL) != t->robust_list; ++i) {
    std::uint64_t next = 0;  // read first: a woken waiter may reuse the entry
    bool readable = copy_from_guest(&next, entry & ~1ULL, sizeof(next)) == 0;
    bool is_pending = (entry & ~1ULL) == (head.pending & ~1ULL);
    if (!is_pending && !leave_word(leaving, word_of(entry), (entry & 1) != 0, false)) return;
    if (!readable) return;
    entry = next;
  }
  if ((head.pending & ~1ULL) != 0)
    (void)leave_word(leaving, word_of(head.pending), (head.pending & 1) != 0, true);
}

void leave(ThreadBlock* t, RobustUndo* undo) {
  if (t->robust_list == 0 || t->virtual_tid == t->real_tid) return;  // the kernel's own to do
  ThreadBlock* caller = current();
  std::uint32_t before = caller->faults_blocked;
  caller->faults_blocked = 1;  // at a thread's end all signals are blocked: a fault would kill
  walk(t, {static_cast<std::uint32_t>(t->virtual_tid), undo});
  caller->faults_blocked = before;
}

}  // namespace

void leave_robust_list(ThreadBlock* t) {
  leave(t, nullptr);
}

// The other threads still run until the kernel ends them: what one of them locks or unlocks in this
// moment may be missed. Only robust futexes shared with other processes can tell.
void leave_robust_lists_of_process(ThreadBlock* t) {
  for (std::uint32_t i = 0; i < block_count(); ++i) {
    ThreadBlock* other = block_at(i);
    if (other->in_use != 0 && other->process == t->process) leave(other, nullptr);
  }
}

void leave_robust_list_for_exec(ThreadBlock* t, RobustUndo* undo) {
  undo->count = 0;
  leave(t, undo);
}

void take_back_robust_list(const RobustUndo& undo) {
  for (std::uint32_t i = 0; i < undo.count; ++i) {
    const RobustUndo::Word& word = undo.words[i];
    std::uint32_t now = 0;
    // Whoever was woken may have taken it in the meantime: then it is theirs.
    if (copy_from_guest(&now, word.address, sizeof(now)) == 0 && now == word.after)
      (void)copy_to_guest(word.address, &word.before, sizeof(word.before));
  }
}

}  // namespace cairn::runtime
