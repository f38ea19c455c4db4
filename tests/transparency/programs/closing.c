// closefrom, close_range and descriptor numbers: all of them belong to the program.
#include "common.h"
#include <dirent.h>
#include <linux/close_range.h>
#include <sys/resource.h>

static void list(const char* what) {
  DIR* directory = opendir("/proc/self/fd");
  char seen[2048] = "";
  int count = 0;
  for (struct dirent* e; (e = readdir(directory));) {
    int fd = atoi(e->d_name);
    if (e->d_name[0] == '.' || fd == dirfd(directory)) continue;
    if (++count < 40) sprintf(seen + strlen(seen), " %d", fd);
  }
  closedir(directory);
  printf("%s: %d descriptors:%s\n", what, count, seen);
}

int main(void) {
  list("at start");
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max < 1024 ? limit.rlim_max : 1024;
  setrlimit(RLIMIT_NOFILE, &limit);
  int null = MUST(open("/dev/null", O_RDWR));
  printf("lowest: %d\n", null);
  int opened = 0, highest = 0;
  for (int fd; (fd = dup(null)) >= 0; opened++) highest = fd;
  printf("until %s: %d, highest %d\n", errno_name(errno), opened, highest);
  closefrom(3);
  list("closefrom(3)");

  null = MUST(open("/dev/null", O_RDWR));
  int wrong = 0;
  for (int fd = 4; fd < (int)limit.rlim_cur; fd++) wrong += dup2(null, fd) != fd;
  printf("dup2 onto every number: %d wrong\n", wrong);
  for (int fd = 3; fd < (int)limit.rlim_cur; fd++) wrong += fcntl(fd, F_GETFD) != 0;
  printf("all open: %d wrong\n", wrong);
  printf("dup2 beyond the limit: %s\n", dup2(null, limit.rlim_cur) < 0 ? errno_name(errno) : "worked");
  MUST(close_range(10, 19, 0));
  list("close_range(10, 19)");
  MUST(close_range(20, ~0U, CLOSE_RANGE_CLOEXEC));
  printf("cloexec: %d %d\n", fcntl(9, F_GETFD), fcntl(20, F_GETFD));
  MUST(close_range(5, ~0U, CLOSE_RANGE_UNSHARE));
  list("close_range unshare");
  printf("bad range: %s\n", close_range(9, 3, 0) ? errno_name(errno) : "worked");
  printf("close of a closed one: %s\n", close(500) ? errno_name(errno) : "worked");
  printf("F_DUPFD 600: %d\n", fcntl(null, F_DUPFD, 600));
  printf("dup3 same: %s\n", dup3(null, null, 0) < 0 ? errno_name(errno) : "worked");
  for (int fd = 0; fd < 3; fd++) printf("%d is %s\n", fd, fcntl(fd, F_GETFD) < 0 ? errno_name(errno) : "open");
  closefrom(3);
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    list("child");
    fflush(stdout);
    execl("/bin/sh", "sh", "-c", "ls /proc/self/fd | wc -l", NULL);
  }
  waitpid(child, NULL, 0);
  // A file opened through the lists of other processes must also be the right one.
  null = MUST(open("/dev/zero", O_RDONLY));
  char path[64], target[64] = "";
  snprintf(path, sizeof path, "/proc/%d/fd/%d", getpid(), null);
  readlink(path, target, sizeof target - 1);
  printf("%s\n", target);
  closefrom(0);
  return dup(0) == -1 && errno == EBADF ? 0 : 1;
}
