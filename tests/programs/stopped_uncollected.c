// Stops that the parent has not waited for yet: exactly one wait finds each afterwards. SIGCHLD for
// them is blocked and pending in one flavour of parent, and was taken in the other.
// flavours: all

#include "lib/stopped.h"

static int pending(void) {
  sigset_t set;
  CHECK_SYS(sigpending(&set));
  return sigismember(&set, SIGCHLD);
}

static pid_t stopped_child(int signal) {
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) {
    for (;;) pause();
  }
  CHECK_SYS(kill(pid, signal));
  siginfo_t info;
  CHECK_SYS(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT));
  while (!pending()) check_sleep_ms(1);
  return pid;
}

int main(void) {
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  CHECK_SYS(sigprocmask(SIG_BLOCK, &set, &old));
  check_count_notices();
  check_expect_eintr();
  const pid_t first = stopped_child(SIGSTOP);
  const struct timespec none = {0, 0};
  CHECK_EQ(sigtimedwait(&set, NULL, &none), SIGCHLD);  // taken, the status is not
  check_ready();
  while (check_busy()) CHECK_EQ(check_state(first, first), 'T');
  check_wait();
  CHECK_EQ(check_state(first, first), 'T');
  CHECK_EQ(pending(), 0);
  check_stop_told_once(first, SIGSTOP);
  const pid_t second = stopped_child(SIGSTOP);  // its notice and its status, both are there
  check_stop_told_once(second, SIGSTOP);
  CHECK_EQ(check_notices, 0);
  CHECK_SYS(sigprocmask(SIG_SETMASK, &old, NULL));
  CHECK_EQ(check_notices, 1);
  int status = 0;
  const pid_t both[2] = {first, second};
  for (int i = 0; i < 2; ++i) {
    check_continue(both[i]);
    CHECK_SYS(kill(both[i], SIGTERM));
    CHECK_EQ(waitpid(both[i], &status, 0), both[i]);
    CHECK_EQ(status, SIGTERM);
  }
  check_pass();
}
