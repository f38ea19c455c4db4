// A child subreaper: an orphan below it has become its child, in a session that the subreaper was
// never in, and the next one does after the restart.
// flavours: all

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/check.h"

// A grandchild whose parent ends, and what it says of itself when it ends.
static pid_t orphan(int own_session, int gate) {
  int told[2];
  pid_t pid = 0;
  CHECK_SYS(pipe(told));
  const pid_t between = CHECK_SYS(fork());
  if (between == 0) {
    if (own_session) setsid();
    const pid_t reaper = getppid();
    pid = fork();
    if (pid != 0) _exit(write(told[1], &pid, sizeof pid) == sizeof pid ? 0 : 1);
    char byte;
    (void)!read(gate, &byte, 1);
    _exit(getppid() == reaper ? 31 : 32);
  }
  CHECK_EQ(waitpid(between, NULL, 0), between);
  CHECK_EQ(read(told[0], &pid, sizeof pid), sizeof pid);
  close(told[0]);
  close(told[1]);
  return pid;
}

static void expect(pid_t pid) {
  int status = 0;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 31 << 8);
}

int main(void) {
  int gate[2], reaper = 0;
  CHECK_SYS(pipe2(gate, 0));
  CHECK_SYS(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
  const pid_t near = orphan(0, gate[0]), far = orphan(1, gate[0]);
  const pid_t session = getsid(far);
  CHECK(session != getsid(0));

  check_ready();
  check_wait();

  CHECK_SYS(prctl(PR_GET_CHILD_SUBREAPER, &reaper, 0, 0, 0));
  CHECK_EQ(reaper, 1);
  CHECK_EQ(getsid(near), getsid(0));
  CHECK_EQ(getsid(far), session);
  CHECK_EQ(getpgid(far), session);
  const pid_t later = orphan(1, gate[0]);
  for (int i = 0; i < 3; ++i) CHECK_EQ(write(gate[1], "x", 1), 1);
  expect(far);
  expect(near);
  expect(later);
  check_pass();
}
