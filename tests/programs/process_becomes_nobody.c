// A process that root has started and that becomes another user for good, as servers do.
//
// flavours: control resume
//
// It may not write to the undo journal, so a restart after it has run on is refused unless --files=none.
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { kNobody = 65534, kTrustedGroup = 4242 };

static void check_ids(void) {
  uid_t uids[3];
  gid_t gids[3], groups[4];
  CHECK_SYS(getresuid(&uids[0], &uids[1], &uids[2]));
  CHECK_SYS(getresgid(&gids[0], &gids[1], &gids[2]));
  for (int i = 0; i < 3; ++i) {
    CHECK_EQ(uids[i], kNobody);
    CHECK_EQ(gids[i], kNobody);
  }
  CHECK_EQ(getgroups(4, groups), 1);
  CHECK_EQ(groups[0], kTrustedGroup);
  CHECK_EQ(setfsuid((uid_t)-1), kNobody);
  CHECK_ERRNO(setuid(0), EPERM);
}

// What it finds wrong is its exit status: it may not write to the directory of the trial.
static void serve(int ready, int go) {
  const gid_t group = kTrustedGroup;
  char byte;
  CHECK_SYS(setgroups(1, &group));
  CHECK_SYS(setresgid(kNobody, kNobody, kNobody));
  CHECK_SYS(setresuid(kNobody, kNobody, kNobody));
  check_ids();
  CHECK_EQ(write(ready, "r", 1), 1);
  CHECK_EQ(read(go, &byte, 1), 1);
  check_ids();
  _exit(0);
}

int main(void) {
  if (geteuid() != 0) check_skip("only root can become another user");
  int ready[2], go[2], status;
  char byte;
  CHECK_SYS(pipe(ready));
  CHECK_SYS(pipe(go));
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) serve(ready[1], go[0]);
  CHECK_EQ(read(ready[0], &byte, 1), 1);
  check_ready();
  check_wait();
  CHECK_EQ(write(go[1], "g", 1), 1);
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  check_pass();
}
