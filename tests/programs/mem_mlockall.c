// All memory is locked, and what is mapped later too; the host's own memory does not count.
//
// flavours: all
// not: busy because what it sets is undone by exec
#include <errno.h>
#include <sys/mman.h>

#include "check.h"

enum { kPages = 16, kBytes = kPages * 4096 };

static long status_kib(const char* key) {
  return atol(check_proc_field("/proc/self/status", key));
}

static char* map_pages(void) {
  char* at = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  return at;
}

// As much as is mapped now becomes locked, or a new mapping does not.
static long locked_by_a_mapping(void) {
  long before = status_kib("VmLck:");
  char* at = map_pages();
  long grown = status_kib("VmLck:") - before;
  CHECK_SYS(munmap(at, kBytes));
  return grown;
}

int main(void) {
  CHECK_ERRNO(mlockall(0), EINVAL);
  CHECK_ERRNO(mlockall(MCL_ONFAULT), EINVAL);
  CHECK_ERRNO(mlockall(8), EINVAL);
  CHECK_EQ(locked_by_a_mapping(), 0);
  char* early = map_pages();
  if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) check_skip("so much may not be locked here");
  CHECK(status_kib("VmLck:") >= kBytes / 1024);
  CHECK(status_kib("VmLck:") < 1L << 22);  // 4 GiB: the arena is 64 times that
  CHECK_EQ(locked_by_a_mapping(), kBytes / 1024);
  unsigned char present[kPages];
  CHECK_SYS(mincore(early, kBytes, present));
  for (int i = 0; i < kPages; ++i) CHECK_EQ(present[i] & 1, 1);
  check_fill(early, kBytes, 5);
  check_ready();
  check_wait();
  CHECK_EQ(locked_by_a_mapping(), kBytes / 1024);
  CHECK_BYTES(early, kBytes, 5);
  CHECK_SYS(mlockall(MCL_CURRENT));  // without MCL_FUTURE: that ends
  CHECK_EQ(locked_by_a_mapping(), 0);
  CHECK(status_kib("VmLck:") >= kBytes / 1024);
  CHECK_SYS(munlockall());
  CHECK_EQ(status_kib("VmLck:"), 0);
  check_pass();
}
