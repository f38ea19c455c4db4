// A program that root starts and that becomes another user for good, as servers do.
//
// flavours: control resume restart three
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
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

int main(void) {
  if (geteuid() != 0) check_skip("only root can become another user");
  const gid_t group = kTrustedGroup;
  CHECK_SYS(chmod(check_path("."), 0777));
  CHECK_SYS(setgroups(1, &group));
  CHECK_SYS(setresgid(kNobody, kNobody, kNobody));
  CHECK_SYS(setresuid(kNobody, kNobody, kNobody));
  check_ids();
  check_ready();
  check_wait();
  check_ids();
  check_pass();
}
