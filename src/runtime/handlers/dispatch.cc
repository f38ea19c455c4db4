#include "runtime/handlers/dispatch.h"

#include <initializer_list>

#include "runtime/handlers/go_on.h"
#include "runtime/handlers/socket_timeouts.h"
#include "runtime/handlers/process.h"
#include "runtime/handlers/seccomp.h"
#include "runtime/host/support.h"
#include "runtime/intercept/held_signals.h"
#include "syscalls/table.gen.h"

std::uint8_t cairn_fast_table[65536];

namespace cairn::runtime {
namespace {

BeforeHandler g_before[syscalls::kSyscalls];
BeforeHandler g_below[syscalls::kSyscalls];  // under what arm_above has put on top
bool g_has_above[syscalls::kSyscalls];

}  // namespace

// The index is 16 bits of the number (entry.S): a number beyond the table that shares them with a
// fast one goes straight to the kernel, whose answer to it is ENOSYS as well.
void set_slow(std::uint32_t number) {
  cairn_fast_table[number] = 0;
}

void arm(const HandlerRow* rows) {
  for (; rows->before != nullptr; ++rows) {
    (g_has_above[rows->number] ? g_below : g_before)[rows->number] = rows->before;
    set_slow(rows->number);
  }
}

void arm_above(const HandlerRow* rows) {
  for (; rows->before != nullptr; ++rows) {
    if (g_has_above[rows->number]) continue;
    g_has_above[rows->number] = true;
    g_below[rows->number] = g_before[rows->number];
    g_before[rows->number] = rows->before;
    set_slow(rows->number);
  }
}

Action lower(ThreadBlock* t) {
  BeforeHandler below = g_below[t->rax & 0xffffffff];
  return below != nullptr ? below(t) : pass(t);
}

namespace {
std::int64_t one_after_another(ThreadBlock* t, std::int64_t result) {
  for (std::uint32_t i = 0; i < t->chained_count && result != kAgain; ++i)
    result = t->chained[i](t, result);
  return result;
}
}  // namespace

void then(ThreadBlock* t, PostHandler post) {
  if (t->post == nullptr) {
    t->post = post;
    return;
  }
  if (t->post != one_after_another) {
    t->chained[0] = t->post;
    t->chained_count = 1;
    t->post = one_after_another;
  }
  if (t->chained_count == kMostChained) die("too many layers behind one system call");
  t->chained[t->chained_count++] = post;
}

void arm_shifted_ids() {
  arm_above(kShiftedIdHandlers);
  arm_above(kShiftedStructHandlers);
  arm_above(kShiftedPathHandlers);
  arm_above(kShiftedSysvHandlers);
  arm_by_descriptors();
}

// Most of the table is never written and so costs no memory: what is not said to be fast is slow.
void build_fast_table() {
  for (std::uint32_t i = 0; i < syscalls::kSyscalls; ++i) {
    const syscalls::Row& row = syscalls::kTable[i];
    bool fast = row.name[0] != 0 && row.policy != syscalls::Policy::kRefuse;
    cairn_fast_table[i] = fast ? 1 : 0;
  }
  for (const HandlerRow* rows : {kSignalHandlers, kWaitHandlers, kProcessHandlers, kMemoryHandlers,
                                 kPathHandlers, kExecHandlers, kSocketHandlers, kLimitHandlers,
                                 kSeccompHandlers, kSignalfdHandlers, kSysvHandlers,
                                 kRegistrationHandlers, kNoticeHandlers, kTracerHandlers})
    arm(rows);
}

void all_slow() {
  for (std::uint32_t i = 0; i < syscalls::kSyscalls; ++i) set_slow(i);
}

namespace {

// A wait whose mask lets through what is held ends at once, as by a pending signal.
Action end_wait(ThreadBlock* t) {
  block_signals(t);
  if (t->deferred != 0) return Action::kRetry;  // a signal came first
  unblock_on_exit(t);
  if (!take_held_signal(t, ~t->wait_mask, &t->deferred_info)) return Action::kRetry;
  t->deferred_signal = static_cast<std::uint64_t>(t->deferred_info.signal);
  return done(t, -kEINTR);
}

}  // namespace
}  // namespace cairn::runtime

using namespace cairn::runtime;

Action cairn_dispatch(ThreadBlock* t) {
  t->post = nullptr;
  t->call.valid = 0;
  t->has_wait_mask = 0;
  t->waited_set = 0;
  bool again = t->interrupted.valid != 0 && t->interrupted.number == t->rax &&
               t->interrupted.stack_pointer == t->guest_sp;
  if (!again) t->interrupted.valid = 0;
  if (t->filters != nullptr || t->strict != 0) {
    Action stopped{};
    if (stopped_by_filter(t, &stopped)) return stopped;
  }
  std::uint64_t number = t->rax & 0xffffffff;
  if (number >= cairn::syscalls::kSyscalls) return done(t, -kENOSYS);
  const cairn::syscalls::Row& row = cairn::syscalls::kTable[number];
  if (row.policy == cairn::syscalls::Policy::kRefuse) return done(t, -row.refusal);
  if (row.name[0] == 0) return done(t, -kENOSYS);
  if ((row.causes & cairn::syscalls::kTimeouts) != 0 && socket_timeouts_armed()) note_start(t);
  BeforeHandler before = g_before[number];
  Action action = again ? resume(t, before) : before != nullptr ? before(t) : pass(t);
  bool waits = action == Action::kTail && t->has_wait_mask != 0;
  return waits && held_signals(t, ~t->wait_mask) != 0 ? end_wait(t) : action;
}
