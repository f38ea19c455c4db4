// All sixteen resource limits keep soft and hard values, infinity included, and are in force.
//
// flavours: all
// not: busy because lowered hard limits cannot be raised for the next round
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  struct rlimit want[RLIM_NLIMITS];
  for (int i = 0; i < RLIM_NLIMITS; ++i) CHECK_SYS(getrlimit(i, &want[i]));
  want[RLIMIT_CORE].rlim_cur = 0;
  want[RLIMIT_NOFILE].rlim_cur = 64;
  want[RLIMIT_FSIZE].rlim_cur = (rlim_t)1 << 33;
  want[RLIMIT_CPU].rlim_cur = 100000;
  want[RLIMIT_DATA].rlim_cur = (rlim_t)1 << 40;
  want[RLIMIT_STACK].rlim_cur = 4 << 20;
  want[RLIMIT_MEMLOCK].rlim_cur = want[RLIMIT_MEMLOCK].rlim_max = 8192;
  want[RLIMIT_SIGPENDING].rlim_cur = 77;
  want[RLIMIT_MSGQUEUE].rlim_max = want[RLIMIT_MSGQUEUE].rlim_cur = 4096;
  want[RLIMIT_RTTIME].rlim_cur = 999999;
  for (int i = 0; i < RLIM_NLIMITS; ++i) CHECK_SYS(setrlimit(i, &want[i]));
  check_ready();
  check_wait();
  for (int i = 0; i < RLIM_NLIMITS; ++i) {
    struct rlimit got;
    CHECK_SYS(getrlimit(i, &got));
    CHECK_EQ(got.rlim_cur, want[i].rlim_cur);
    CHECK_EQ(got.rlim_max, want[i].rlim_max);
  }
  int last = -1, fd;
  while ((fd = open("/dev/null", O_RDONLY)) >= 0) last = fd;
  CHECK_EQ(errno, EMFILE);
  CHECK_EQ(last, 63);  // nothing but the program's own descriptors counts
  for (fd = 3; fd < 64; ++fd) CHECK_SYS(close(fd));
  signal(SIGXFSZ, SIG_IGN);
  fd = (int)CHECK_SYS(open(check_path("large"), O_CREAT | O_WRONLY, 0600));
  CHECK_ERRNO(pwrite(fd, "x", 1, 1ll << 33), EFBIG);
  check_pass();
}
