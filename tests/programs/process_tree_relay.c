// A process that lives only long enough to pass its place on to a child, without a pause; and one
// that starts a program and waits for it, over and over.
// flavours: resume restart three busy storm
// unsteady: everything because its processes come and go

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/check.h"

static void pass_on(void) {
  for (;;) {
    const pid_t next = fork();
    if (next < 0) _exit(1);
    if (next > 0) _exit(0);
  }
}

static void start_programs(void) {
  for (;;) {
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
      execl("/bin/sh", "sh", "-c", "exit 9", (char*)NULL);
      _exit(1);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 9 << 8) _exit(1);
  }
}

int main(void) {
  int status = 0;
  const pid_t starter = CHECK_SYS(fork());
  if (starter == 0) start_programs();
  const pid_t runner = CHECK_SYS(fork());
  if (runner == 0) {
    if (setpgid(0, 0) != 0) _exit(1);
    pass_on();
  }
  CHECK_EQ(waitpid(runner, &status, 0), runner);
  CHECK_EQ(status, 0);
  check_ready();
  while (check_busy()) check_sleep_ms(1);  // begun anew by exec it would leave these behind
  check_wait();
  CHECK_EQ(waitpid(starter, &status, WNOHANG), 0);
  CHECK_SYS(kill(starter, SIGKILL));
  CHECK_EQ(waitpid(starter, &status, 0), starter);
  CHECK_EQ(status, SIGKILL);
  // The signal meets all of the group at once; who ended earlier may not have been waited for yet.
  while (kill(-runner, SIGKILL) == 0) check_sleep_ms(1);
  CHECK_EQ(errno, ESRCH);
  check_pass();
}
