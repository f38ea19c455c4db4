// Pages of a mapping beyond the file's end give SIGBUS, before and after; growing the file cures
// it.
//
// flavours: all
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

static sigjmp_buf escape;
static volatile int fault;

static void on_fault(int number) {
  fault = number;
  siglongjmp(escape, 1);
}

static int touch(volatile char* at) {
  fault = 0;
  if (sigsetjmp(escape, 1) == 0) (void)*at;
  return fault;
}

int main(void) {
  int fd = (int)CHECK_SYS(open(check_path("short"), O_RDWR | O_CREAT | O_TRUNC, 0600));
  CHECK_EQ(write(fd, "tail", 4), 4);
  char* at = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(at != MAP_FAILED);
  signal(SIGBUS, on_fault);
  CHECK_EQ(touch(at), 0);
  CHECK_EQ(touch(at + 4096), SIGBUS);
  check_ready();
  check_wait();
  CHECK(memcmp(at, "tail", 5) == 0);
  for (int i = 1; i < 4; ++i) CHECK_EQ(touch(at + i * 4096), SIGBUS);
  CHECK_SYS(ftruncate(fd, 2 * 4096));
  CHECK_EQ(touch(at + 4096), 0);
  CHECK_EQ(touch(at + 2 * 4096), SIGBUS);
  check_pass();
}
