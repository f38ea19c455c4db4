#include "runtime/handlers/dispatch.h"

#include <initializer_list>

#include "syscalls/table.gen.h"

std::uint8_t cairn_slow_table[65536];

namespace cairn::runtime {
namespace {

BeforeHandler g_before[syscalls::kSyscalls];

// The index is 16 bits of the number (entry.S): a number beyond the table that shares them with a
// fast one goes straight to the kernel, whose answer to it is ENOSYS as well.
void set_slow(std::uint32_t number, bool slow) { cairn_slow_table[number] = slow ? 1 : 0; }

}  // namespace

void arm(const HandlerRow* rows) {
  for (; rows->before != nullptr; ++rows) {
    g_before[rows->number] = rows->before;
    set_slow(rows->number, true);
  }
}

void build_slow_table() {
  for (std::uint32_t i = 0; i < sizeof(cairn_slow_table); ++i) set_slow(i, true);
  for (std::uint32_t i = 0; i < syscalls::kSyscalls; ++i) {
    const syscalls::Row& row = syscalls::kTable[i];
    set_slow(i, row.name[0] == 0 || row.policy == syscalls::Policy::kRefuse);
  }
  for (const HandlerRow* rows : {kSignalHandlers, kWaitHandlers, kProcessHandlers, kMemoryHandlers,
                                 kPathHandlers, kExecHandlers})
    arm(rows);
}

}  // namespace cairn::runtime

using namespace cairn::runtime;

Action cairn_dispatch(ThreadBlock* t) {
  t->post = nullptr;
  t->call.valid = 0;
  t->has_wait_mask = 0;
  bool again = t->interrupted.valid != 0 && t->interrupted.number == t->rax &&
               t->interrupted.stack_pointer == t->guest_sp;
  if (!again) t->interrupted.valid = 0;
  std::uint64_t number = t->rax & 0xffffffff;
  if (number >= cairn::syscalls::kSyscalls) return done(t, -kENOSYS);
  const cairn::syscalls::Row& row = cairn::syscalls::kTable[number];
  if (row.policy == cairn::syscalls::Policy::kRefuse) return done(t, -row.refusal);
  if (row.name[0] == 0) return done(t, -kENOSYS);
  BeforeHandler before = g_before[number];
  return before != nullptr ? before(t) : pass(t);
}
