// Real, effective and saved ids, supplementary groups and keep-capabilities come back; what an
// ordinary user cannot set is left as it is.
//
// flavours: all
// not: busy because ids that were given up cannot be had again for the next round
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  uid_t uid[3], uid_now[3];
  gid_t gid[3], gid_now[3], groups[64], groups_now[64];
  CHECK_SYS(getresuid(&uid[0], &uid[1], &uid[2]));
  CHECK_SYS(getresgid(&gid[0], &gid[1], &gid[2]));
  if (uid[1] == 0) {
    const gid_t more[] = {gid[0], 1234, 70000};
    CHECK_SYS(setgroups(3, more));
    CHECK_SYS(setresgid(1, gid[1], 7));
    CHECK_SYS(setresuid(1000, 0, 1001));
    CHECK_SYS(prctl(PR_SET_DUMPABLE, 1));
  }
  CHECK_SYS(getresuid(&uid[0], &uid[1], &uid[2]));
  CHECK_SYS(getresgid(&gid[0], &gid[1], &gid[2]));
  const int count = (int)CHECK_SYS(getgroups(64, groups));
  check_ready();
  check_wait();
  CHECK_SYS(getresuid(&uid_now[0], &uid_now[1], &uid_now[2]));
  CHECK_SYS(getresgid(&gid_now[0], &gid_now[1], &gid_now[2]));
  for (int i = 0; i < 3; ++i) {
    CHECK_EQ(uid_now[i], uid[i]);
    CHECK_EQ(gid_now[i], gid[i]);
  }
  CHECK_EQ(getgroups(64, groups_now), count);
  for (int i = 0; i < count; ++i) CHECK_EQ(groups_now[i], groups[i]);
  check_pass();
}
