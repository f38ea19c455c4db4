// Shared anonymous memory that may be written and executed, and such that may only be read, keep that.
//
// flavours: all
#include <sys/mman.h>

#include "check.h"

enum { kBytes = 8192 };
static const unsigned char kReturn42[] = {0xb8, 42, 0, 0, 0, 0xc3};  // mov $42, %eax; ret

int main(void) {
  const int flags = MAP_SHARED | MAP_ANONYMOUS;
  char* code = mmap(NULL, kBytes, PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0);
  char* constant = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  char* both = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  CHECK(code != MAP_FAILED && constant != MAP_FAILED && both != MAP_FAILED);
  memcpy(code, kReturn42, sizeof kReturn42);
  memcpy(both + 4096, kReturn42, sizeof kReturn42);
  constant[4096] = 7;
  CHECK_SYS(mprotect(constant, kBytes, PROT_READ));
  CHECK_SYS(mprotect(both + 4096, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
  check_ready();
  check_wait();
  CHECK_EQ(((int (*)(void))(void*)code)(), 42);
  CHECK_EQ(((int (*)(void))(void*)(both + 4096))(), 42);
  memcpy(code + 4096, kReturn42, sizeof kReturn42);  // both at once
  CHECK_EQ(((int (*)(void))(void*)(code + 4096))(), 42);
  CHECK_EQ(constant[4096], 7);
  both[0] = 1;
  check_pass();
}
