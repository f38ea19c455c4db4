// Locked memory stays locked: the same pages, and only those.
//
// flavours: all
#include <sys/mman.h>

#include "check.h"

static long locked_kib(void) {
  return atol(check_proc_field("/proc/self/status", "VmLck:"));
}

int main(void) {
  char* at = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  check_fill(at, 8 * 4096, 18);
  long before = locked_kib();
  if (mlock(at + 4096, 3 * 4096) != 0) check_skip("mlock is not permitted here");
  if (mlock2(at + 5 * 4096, 4096, MLOCK_ONFAULT) != 0) check_skip("no mlock2 here");
  CHECK_EQ(locked_kib() - before, 16);
  check_ready();
  check_wait();
  CHECK_EQ(locked_kib() - before, 16);
  CHECK_BYTES(at, 8 * 4096, 18);
  CHECK_SYS(munlock(at + 4096, 3 * 4096));
  CHECK_EQ(locked_kib() - before, 4);
  CHECK_SYS(munlock(at + 5 * 4096, 4096));
  CHECK_EQ(locked_kib(), before);
  check_pass();
}
