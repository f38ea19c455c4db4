// 900 descriptors at chosen numbers, up to the limit, on 100 files; every other number is free.
//
// flavours: all
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  struct rlimit limit;
  CHECK_SYS(getrlimit(RLIMIT_NOFILE, &limit));
  if (limit.rlim_max < 1024) check_skip("fewer than 1,024 descriptors allowed");
  limit.rlim_cur = 1024;
  CHECK_SYS(setrlimit(RLIMIT_NOFILE, &limit));
  char name[32], byte;
  for (int i = 0; i < 100; ++i) {
    snprintf(name, sizeof name, "file-%d", i);
    int fd = (int)CHECK_SYS(open(check_path(name), O_RDWR | O_CREAT, 0600));
    byte = (char)i;
    CHECK_EQ(write(fd, &byte, 1), 1);
    for (int copy = 0; copy < 9; ++copy) CHECK_SYS(dup2(fd, 123 + copy * 100 + i));
    close(fd);
  }
  CHECK_SYS(dup2(123, 1023));
  check_ready();
  check_wait();
  for (int fd = 3; fd < 1024; ++fd) {
    if (fd < 123) {
      CHECK_ERRNO(fcntl(fd, F_GETFD), EBADF);
      continue;
    }
    CHECK_EQ(pread(fd, &byte, 1, 0), 1);
    CHECK_EQ(byte, fd == 1023 ? 0 : (fd - 123) % 100);
  }
  CHECK_EQ(dup(1023), 3);
  check_pass();
}
