// A child that was continued, which its parent has not waited for yet: one wait (WCONTINUED) finds it,
// afterwards as before, and no SIGCHLD comes for it again.
// flavours: all

#include "lib/stopped.h"

int main(void) {
  check_count_notices();
  check_expect_eintr();
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) {
    for (;;) pause();
  }
  CHECK_SYS(kill(pid, SIGSTOP));
  check_stop_told_once(pid, SIGSTOP);
  check_until_notices(1);
  CHECK_SYS(kill(pid, SIGCONT));
  siginfo_t info;
  CHECK_SYS(waitid(P_PID, (id_t)pid, &info, WCONTINUED | WNOWAIT));
  check_until_notices(2);
  int status = 0;
  check_ready();
  while (check_busy()) CHECK_EQ(waitpid(pid, &status, WUNTRACED | WNOHANG), 0);
  check_wait();
  CHECK_EQ(check_notices, 2);
  CHECK_EQ(waitpid(pid, &status, WUNTRACED | WNOHANG), 0);
  CHECK_EQ(waitpid(pid, &status, WCONTINUED | WNOHANG), pid);
  CHECK(WIFCONTINUED(status));
  CHECK_EQ(waitpid(pid, &status, WCONTINUED | WNOHANG), 0);
  CHECK_SYS(kill(pid, SIGTERM));
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, SIGTERM);
  CHECK_EQ(check_notices, 3);
  check_pass();
}
