// Processes appear and vanish at every moment: three children that fork and wait without a pause,
// and one whose children fork the next and end.
// flavours: all storm
// unsteady: everything because its processes come and go

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/check.h"

enum { kForkers = 3 };

static void fork_on(int code) {
  for (;;) {
    int status = 0;
    const pid_t child = fork();
    if (child == 0) _exit(code);
    if (child < 0 || waitpid(child, &status, 0) != child || status != code << 8) _exit(1);
  }
}

static void pass_on(void) {
  for (;;) {
    usleep(20000);
    const pid_t next = fork();
    if (next < 0) _exit(1);
    if (next > 0) _exit(0);
  }
}

int main(void) {
  pid_t forkers[kForkers];
  CHECK_SYS(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
  for (int i = 0; i < kForkers; ++i) {
    forkers[i] = CHECK_SYS(fork());
    if (forkers[i] == 0) fork_on(50 + i);
  }
  const pid_t runner = CHECK_SYS(fork());
  if (runner == 0) {
    setpgid(0, 0);
    pass_on();
  }
  check_ready();
  while (check_busy()) check_sleep_ms(1);  // begun anew by exec it would leave these behind
  check_wait();
  for (int i = 0; i < kForkers; ++i) {
    int status = 0;
    CHECK_EQ(waitpid(forkers[i], &status, WNOHANG), 0);
    CHECK_SYS(kill(forkers[i], SIGKILL));
    CHECK_EQ(waitpid(forkers[i], &status, 0), forkers[i]);
    CHECK_EQ(status, SIGKILL);
  }
  // One of them is always there, until a signal meets all of the group.
  while (kill(-runner, SIGKILL) == 0)
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
  CHECK_EQ(errno, ESRCH);
  check_pass();
}
