// A MAP_GROWSDOWN mapping grows downwards also after a restart.
//
// flavours: all
#include <sys/mman.h>

#include "check.h"

int main(void) {
  const size_t page = 4096, window = 64 << 20;
  char* space = mmap(NULL, window, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(space != MAP_FAILED);
  CHECK_SYS(munmap(space, window));
  char* stack = mmap(space + window - 4 * page, 4 * page, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
  CHECK(stack == space + window - 4 * page);
  check_fill(stack, 4 * page, 7);
  volatile char* below = stack;
  for (int i = 1; i <= 10; ++i) below[-i * 4096] = (char)i;
  check_ready();
  check_wait();
  CHECK_BYTES(stack, 4 * page, 7);
  for (int i = 1; i <= 10; ++i) CHECK_EQ(below[-i * 4096], i);
  for (int i = 11; i <= 100; ++i) below[-i * 4096] = (char)i;  // a fault that must extend it
  for (int i = 11; i <= 100; ++i) CHECK_EQ(below[-i * 4096], i);
  check_pass();
}
