// Descriptors of the namespaces in which the process is, and of the first process's directory.
//
// flavours: all
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static const char* const kNames[] = {"net", "uts", "ipc", "pid", "user", "mnt", "cgroup"};
enum { kCount = sizeof kNames / sizeof *kNames };

static void link_of(int fd, char* out, size_t bytes) {
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  memset(out, 0, bytes);
  CHECK(readlink(path, out, bytes - 1) > 0);
}

int main(void) {
  int fd[kCount];
  char path[64], own[64], open_one[64];
  for (int i = 0; i < kCount; ++i) {
    snprintf(path, sizeof path, "/proc/self/ns/%s", kNames[i]);
    fd[i] = (int)CHECK_SYS(open(path, O_RDONLY));
  }
  int init = (int)CHECK_SYS(open("/proc/1/status", O_RDONLY));
  check_ready();
  check_wait();
  for (int i = 0; i < kCount; ++i) {
    snprintf(path, sizeof path, "/proc/self/ns/%s", kNames[i]);
    memset(own, 0, sizeof own);
    CHECK(readlink(path, own, sizeof own - 1) > 0);
    link_of(fd[i], open_one, sizeof open_one);
    CHECK_STR(open_one, own);
  }
  struct stat held, named;
  CHECK_SYS(fstat(init, &held));
  CHECK_SYS(stat("/proc/1/status", &named));
  CHECK_EQ(held.st_ino, named.st_ino);
  check_pass();
}
