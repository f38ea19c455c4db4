// Ignored signals stay ignored, default ones that do nothing do nothing, and SIGCHLD ignored reaps.
//
// flavours: all
// not: busy because a checkpoint of a tree of processes is refused for now
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const int ignored[] = {SIGHUP,  SIGINT,  SIGQUIT,  SIGPIPE, SIGTERM,
                         SIGUSR1, SIGTSTP, SIGRTMIN, SIGRTMAX};
  const int count = sizeof ignored / sizeof ignored[0];
  for (int i = 0; i < count; ++i) signal(ignored[i], SIG_IGN);
  signal(SIGCHLD, SIG_IGN);
  check_ready();
  check_wait();
  for (int i = 0; i < count; ++i) CHECK_SYS(kill(getpid(), ignored[i]));
  CHECK_SYS(raise(SIGURG));  // ignored by default
  CHECK_SYS(raise(SIGWINCH));
  CHECK_SYS(raise(SIGCONT));
  struct sigaction now;
  CHECK_SYS(sigaction(SIGHUP, NULL, &now));
  CHECK(now.sa_handler == SIG_IGN);
  int ends[2];
  CHECK_SYS(pipe(ends));
  close(ends[0]);
  CHECK_ERRNO(write(ends[1], "x", 1), EPIPE);
  pid_t child = (pid_t)CHECK_SYS(fork());
  if (child == 0) _exit(3);
  CHECK_ERRNO(waitpid(child, NULL, 0), ECHILD);  // reaped by itself
  check_pass();
}
