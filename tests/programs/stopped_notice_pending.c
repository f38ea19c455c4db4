// A parent that blocks SIGCHLD and has one pending for a stop: afterwards there is this one and no
// other, and the stop is there to be waited for.
// flavours: all

#include "lib/stopped.h"

int main(void) {
  sigset_t set, now;
  siginfo_t info;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  CHECK_SYS(sigprocmask(SIG_BLOCK, &set, NULL));
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) {
    for (;;) pause();
  }
  CHECK_SYS(kill(pid, SIGSTOP));
  CHECK_SYS(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT));
  do {
    CHECK_SYS(sigpending(&now));
    check_sleep_ms(1);
  } while (!sigismember(&now, SIGCHLD));
  check_ready();
  while (check_busy()) CHECK_EQ(check_state(pid, pid), 'T');
  check_wait();
  const struct timespec none = {0, 0};
  CHECK_EQ(sigtimedwait(&set, &info, &none), SIGCHLD);
  CHECK_EQ(info.si_code, CLD_STOPPED);
  CHECK_EQ(info.si_pid, pid);
  CHECK_EQ(info.si_status, SIGSTOP);
  CHECK_ERRNO(sigtimedwait(&set, NULL, &none), EAGAIN);
  CHECK_EQ(check_state(pid, pid), 'T');
  check_stop_told_once(pid, SIGSTOP);
  CHECK_SYS(kill(pid, SIGKILL));
  int status = 0;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, SIGKILL);
  check_pass();
}
