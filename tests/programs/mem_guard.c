// Guard pages by MADV_GUARD_INSTALL (Linux 6.13): they still fault, what lies between them is data.
//
// flavours: all
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "check.h"

#define GUARD_INSTALL 102
#define GUARD_REMOVE 103

static sigjmp_buf g_back;
static void handler(int signal) {
  siglongjmp(g_back, signal);
}

static int faults(volatile char* at) {
  if (sigsetjmp(g_back, 1) != 0) return 1;
  (void)*at;
  return 0;
}

int main(void) {
  const long page = 4096;
  signal(SIGSEGV, handler);
  char* at = mmap(NULL, 16 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  check_fill(at, 16 * page, 9);
  if (madvise(at, page, GUARD_INSTALL) != 0) check_skip("this kernel has no guard pages");
  CHECK_SYS(madvise(at + 7 * page, 2 * page, GUARD_INSTALL));
  CHECK_SYS(madvise(at + 15 * page, page, GUARD_INSTALL));
  CHECK(faults(at));
  check_ready();
  check_wait();
  for (int i = 0; i < 16; ++i)
    CHECK_EQ(faults(at + i * page), i == 0 || i == 7 || i == 8 || i == 15);
  char expected[16 * 4096];
  check_fill(expected, sizeof expected, 9);
  CHECK(memcmp(at + page, expected + page, 6 * page) == 0);
  CHECK(memcmp(at + 9 * page, expected + 9 * page, 6 * page) == 0);
  CHECK_SYS(madvise(at + 7 * page, page, GUARD_REMOVE));
  CHECK_EQ(at[7 * page], 0);
  check_pass();
}
