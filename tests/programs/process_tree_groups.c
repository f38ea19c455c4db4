// Process groups and sessions: groups with a leader and without one, a session of a child's own,
// and what kill(2) and wait(2) reach by their numbers.
// flavours: all

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/check.h"

static int ready[2];

static pid_t start(pid_t group, int own_session) {
  const pid_t child = CHECK_SYS(fork());
  if (child != 0) return child;
  if (own_session)
    CHECK_SYS(setsid());
  else
    CHECK_SYS(setpgid(0, group));
  CHECK_EQ(write(ready[1], "r", 1), 1);
  for (;;) pause();
}

static void expect_killed(pid_t child, int signal) {
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, signal);
}

int main(void) {
  char byte;
  CHECK_SYS(pipe(ready));
  const pid_t leader = start(0, 0);
  CHECK_EQ(read(ready[0], &byte, 1), 1);
  const pid_t member = start(leader, 0);
  const pid_t lost = start(0, 0);  // the leader of a group that it leaves behind
  CHECK_EQ(read(ready[0], &byte, 1), 1);
  CHECK_EQ(read(ready[0], &byte, 1), 1);
  const pid_t left[2] = {start(lost, 0), start(lost, 0)};
  const pid_t session = start(0, 1);
  for (int i = 0; i < 3; ++i) CHECK_EQ(read(ready[0], &byte, 1), 1);
  kill(lost, SIGKILL);
  expect_killed(lost, SIGKILL);
  const pid_t own_group = getpgrp(), own_session = getsid(0);

  check_ready();
  check_wait();

  CHECK_EQ(getpgrp(), own_group);
  CHECK_EQ(getsid(0), own_session);
  CHECK_EQ(getpgid(leader), leader);
  CHECK_EQ(getpgid(member), leader);
  CHECK_EQ(getsid(member), own_session);
  CHECK_EQ(getpgid(left[0]), lost);
  CHECK_EQ(getpgid(left[1]), lost);
  CHECK_EQ(getpgid(session), session);
  CHECK_EQ(getsid(session), session);
  CHECK_ERRNO(kill(lost, 0), ESRCH);
  CHECK_ERRNO(waitpid(-own_group, NULL, WNOHANG), ECHILD);

  CHECK_SYS(kill(-leader, SIGTERM));
  expect_killed(leader, SIGTERM);
  expect_killed(member, SIGTERM);
  CHECK_SYS(kill(-lost, SIGUSR1));
  int status = 0;
  for (int i = 0; i < 2; ++i) {
    const pid_t one = waitpid(-lost, &status, 0);
    CHECK(one == left[0] || one == left[1]);
    CHECK_EQ(status, SIGUSR1);
  }
  CHECK_SYS(kill(-session, SIGINT));
  expect_killed(session, SIGINT);
  check_pass();
}
