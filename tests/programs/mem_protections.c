// Each page of a mapping keeps its own protection: all eight, in turn.
//
// flavours: all
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "check.h"

static sigjmp_buf escape;

static void on_fault(int number) {
  siglongjmp(escape, number);
}

static int can_read(volatile char* at) {
  if (sigsetjmp(escape, 1) != 0) return 0;
  (void)*at;
  return 1;
}

static int can_write(volatile char* at) {
  if (sigsetjmp(escape, 1) != 0) return 0;
  *at = *at;
  return 1;
}

static int can_run(char* at) {
  if (sigsetjmp(escape, 1) != 0) return 0;
  ((void (*)(void))at)();
  return 1;
}

int main(void) {
  const int pages = 64;
  char* at = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  memset(at, 0xc3, pages * 4096);  // ret
  for (int i = 0; i < pages; ++i) CHECK_SYS(mprotect(at + i * 4096, 4096, i % 8));
  signal(SIGSEGV, on_fault);
  int executable_is_readable = can_read(at + PROT_EXEC * 4096);  // not on a CPU with protection keys
  check_ready();
  check_wait();
  for (int i = 0; i < pages; ++i) {
    int protection = i % 8;
    char* page = at + i * 4096;
    // x86: writable is readable
    CHECK_EQ(can_read(page), protection == PROT_EXEC ? executable_is_readable : protection != PROT_NONE);
    CHECK_EQ(can_write(page), (protection & PROT_WRITE) != 0);
    CHECK_EQ(can_run(page), (protection & PROT_EXEC) != 0);
  }
  check_pass();
}
