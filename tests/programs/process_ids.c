// Process, parent, group, session and user ids are constant; the process can signal itself by them.
//
// flavours: all
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static volatile int caught;

static void on_signal(int number) {
  (void)number, ++caught;
}

int main(void) {
  pid_t process = getpid(), parent = getppid(), group = getpgrp(), session = getsid(0);
  uid_t users[3];
  gid_t groups[3];
  CHECK_SYS(getresuid(&users[0], &users[1], &users[2]));
  CHECK_SYS(getresgid(&groups[0], &groups[1], &groups[2]));
  check_ready();
  while (check_busy()) CHECK_EQ(getpid(), process);
  check_wait();
  CHECK_EQ(getpid(), process);
  CHECK_EQ(syscall(SYS_getpid), process);
  CHECK_EQ(syscall(SYS_gettid), process);
  CHECK_EQ(getppid(), parent);
  CHECK_EQ(getpgrp(), group);
  CHECK_EQ(getpgid(process), group);
  CHECK_EQ(getsid(process), session);
  uid_t now_users[3];
  gid_t now_groups[3];
  CHECK_SYS(getresuid(&now_users[0], &now_users[1], &now_users[2]));
  CHECK_SYS(getresgid(&now_groups[0], &now_groups[1], &now_groups[2]));
  CHECK(memcmp(users, now_users, sizeof users) == 0 &&
        memcmp(groups, now_groups, sizeof groups) == 0);
  CHECK_EQ(atoi(check_proc_field("/proc/self/status", "Pid:")), process);
  CHECK_EQ(atoi(check_proc_field("/proc/self/status", "Tgid:")), process);
  char path[64], link[16] = "";
  snprintf(path, sizeof path, "/proc/%d/status", process);
  CHECK_EQ(atoi(check_proc_field(path, "Pid:")), process);
  CHECK(readlink("/proc/self", link, sizeof link - 1) > 0);
  CHECK_EQ(atoi(link), process);
  signal(SIGUSR1, on_signal);
  CHECK_SYS(kill(process, SIGUSR1));
  CHECK_EQ(caught, 1);
  CHECK_SYS(kill(process, 0));
  check_pass();
}
