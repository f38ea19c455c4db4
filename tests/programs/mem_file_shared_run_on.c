// What a program writes through a shared file mapping after the commit is undone by a restart.
//
// flavours: all
// run-on: always
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

enum { kBytes = 4 * 4096 };
static char* at;
static int changed;

static void run_on(void) {
  check_fill(at, kBytes, 13);
  changed = 1;
}

int main(void) {
  int fd = (int)CHECK_SYS(open(check_path("shared"), O_RDWR | O_CREAT | O_TRUNC, 0600));
  CHECK_SYS(ftruncate(fd, kBytes));
  at = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(at != MAP_FAILED);
  check_fill(at, kBytes, 12);
  check_on_run_on(run_on);
  check_ready();
  check_wait();
  int seed = changed ? 13 : 12;  // memory and file must tell one story
  char now[kBytes];
  CHECK_BYTES(at, kBytes, seed);
  CHECK_EQ(pread(fd, now, kBytes, 0), kBytes);
  CHECK_BYTES(now, kBytes, seed);
  check_pass();
}
