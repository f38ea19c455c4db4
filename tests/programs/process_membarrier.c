// Registrations for memory barriers are kept: the barriers can be used without asking again, and
// those that were not registered cannot.
//
// flavours: all
// not: busy because what it sets is undone by exec
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static long barrier(int command) { return syscall(SYS_membarrier, command, 0, 0); }

int main(void) {
  long known = barrier(MEMBARRIER_CMD_QUERY);
  if (known < 0 || !(known & MEMBARRIER_CMD_PRIVATE_EXPEDITED)) check_skip("no membarrier here");
  CHECK_ERRNO(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED), EPERM);
  CHECK_ERRNO(barrier(1 << 30), EINVAL);
  CHECK_SYS(barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED));
  CHECK_SYS(barrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED));
  CHECK_SYS(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED));
  check_ready();
  check_wait();
  CHECK_SYS(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED));
  CHECK_SYS(barrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED));
  if (known & MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE)
    CHECK_ERRNO(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE), EPERM);
  enum { kGetRegistrations = 1 << 9 };  // Linux 6.3
  if (known & kGetRegistrations)
    CHECK_EQ(barrier(kGetRegistrations), MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED |
                                             MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
  check_pass();
}
