// What prctl sets is kept: name, timer slack, keep-capabilities, parent-death signal,
// subreaper, huge-page switch; no-new-privileges as the program sees it.
//
// flavours: all
// not: busy because what it sets is handed on by exec
#include <signal.h>
#include <sys/prctl.h>

#include "check.h"

int main(void) {
  int value = 0;
  if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0) check_skip("no PR_SET_THP_DISABLE here");
  CHECK_SYS(prctl(PR_SET_NAME, "prctl checked"));
  CHECK_SYS(prctl(PR_SET_TIMERSLACK, 123456));
  CHECK_SYS(prctl(PR_SET_KEEPCAPS, 1));
  CHECK_SYS(prctl(PR_SET_PDEATHSIG, SIGUSR2));
  CHECK_SYS(prctl(PR_SET_CHILD_SUBREAPER, 1));
  int before_privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
  check_ready();
  check_wait();
  CHECK_STR(check_read_line("/proc/self/comm"), "prctl checked");
  CHECK_EQ(prctl(PR_GET_TIMERSLACK), 123456);
  CHECK_EQ(prctl(PR_GET_KEEPCAPS), 1);
  CHECK_SYS(prctl(PR_GET_PDEATHSIG, &value));
  CHECK_EQ(value, SIGUSR2);
  CHECK_SYS(prctl(PR_GET_CHILD_SUBREAPER, &value));
  CHECK_EQ(value, 1);
  CHECK_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
  CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), before_privileges);
  check_pass();
}
