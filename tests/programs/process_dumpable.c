// A process that is not dumpable (0) can be checkpointed and stays so.
//
// flavours: all
// not: busy because the value is undone by exec
// unsteady: everything because such a process shows nothing to an ordinary user
#include <sys/prctl.h>

#include "check.h"

int main(void) {
  CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
  CHECK_SYS(prctl(PR_SET_DUMPABLE, 0));
  check_ready();
  check_wait();
  CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
  CHECK_SYS(prctl(PR_SET_DUMPABLE, 1));
  CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
  check_pass();
}
