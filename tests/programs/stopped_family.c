// A leader of a session that is stopped, with children: one stopped, which it has waited for, one
// stopped, which it has not, and one that runs. When it goes on it finds them as it left them.
// flavours: all

#include <sys/mman.h>

#include "lib/stopped.h"

typedef struct {
  volatile pid_t children[3];
  volatile uint64_t count;
  volatile int end;
} shared;

static shared* common;

static void leader(void) {
  CHECK_SYS(setsid());
  check_count_notices();
  for (int i = 0; i < 3; ++i) {
    const pid_t pid = (pid_t)CHECK_SYS(fork());
    if (pid == 0) {
      for (;;) ++common->count;
    }
    common->children[i] = pid;
  }
  siginfo_t info;
  CHECK_SYS(kill(common->children[0], SIGSTOP));
  check_stop_told_once(common->children[0], SIGSTOP);
  check_until_notices(1);
  CHECK_SYS(kill(common->children[1], SIGSTOP));
  CHECK_SYS(waitid(P_PID, (id_t)common->children[1], &info, WSTOPPED | WNOWAIT));
  check_until_notices(2);
  CHECK_SYS(raise(SIGSTOP));
  int status = 0;
  CHECK_EQ(check_notices, 2);
  CHECK_EQ(waitpid(common->children[0], &status, WUNTRACED | WNOHANG), 0);
  check_stop_told_once(common->children[1], SIGSTOP);
  CHECK_EQ(waitpid(-1, &status, WUNTRACED | WCONTINUED | WNOHANG), 0);
  for (int i = 0; i < 3; ++i) {
    CHECK_EQ(check_state(common->children[i], common->children[i]), i == 2 ? 'R' : 'T');
    CHECK_SYS(kill(common->children[i], SIGKILL));
    CHECK_EQ(waitpid(common->children[i], &status, 0), common->children[i]);
    CHECK_EQ(status, SIGKILL);
  }
  while (!common->end) check_sleep_ms(1);
  _exit(0);
}

int main(void) {
  common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(common != MAP_FAILED);
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) leader();
  check_stop_told_once(pid, SIGSTOP);
  check_ready();
  while (check_busy()) CHECK_EQ(check_state(pid, pid), 'T');
  check_wait();
  int status = 0;
  CHECK_EQ(waitpid(pid, &status, WUNTRACED | WNOHANG), 0);
  CHECK_EQ(check_state(pid, pid), 'T');
  for (int i = 0; i < 2; ++i) CHECK_EQ(check_state(common->children[i], common->children[i]), 'T');
  const uint64_t count = common->count;
  while (common->count == count) check_sleep_ms(1);
  check_continue(pid);
  common->end = 1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  check_pass();
}
