// The program break keeps its value and its bytes, and still grows and shrinks.
//
// flavours: all
#include <unistd.h>

#include "check.h"

int main(void) {
  const size_t bytes = 3 * 4096 + 123;  // not a multiple of a page
  char* at = sbrk((intptr_t)bytes);
  CHECK(at != (void*)-1);
  check_fill(at, bytes, 5);
  void* top = sbrk(0);
  check_ready();
  check_wait();
  CHECK(sbrk(0) == top);
  CHECK_BYTES(at, bytes, 5);
  char* more = sbrk(1 << 20);
  CHECK(more == top);
  for (size_t i = 0; i < 1 << 20; i += 4096) more[i] = 1;
  CHECK(sbrk(-(1 << 20)) == (char*)top + (1 << 20));
  CHECK(sbrk(0) == top);
  CHECK_BYTES(at, bytes, 5);
  check_pass();
}
