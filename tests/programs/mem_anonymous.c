// Private anonymous memory of 1 page, 16 MiB and an odd number of pages keeps every byte; pages
// that were never touched stay zero.
//
// flavours: all
#include <sys/mman.h>

#include "check.h"

static char* map(size_t bytes) {
  void* at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  return at;
}

int main(void) {
  const size_t page = 4096, large = 16 << 20, odd = 37 * page;
  char *one = map(page), *many = map(large), *some = map(odd), *untouched = map(large);
  check_fill(one, page, 1);
  check_fill(many, large, 2);
  check_fill(some, page, 3);               // first page,
  check_fill(some + odd - page, page, 4);  // and last page only
  check_ready();
  check_wait();
  CHECK_BYTES(one, page, 1);
  CHECK_BYTES(many, large, 2);
  CHECK_BYTES(some, page, 3);
  CHECK_BYTES(some + odd - page, page, 4);
  for (size_t i = page; i < odd - page; ++i) CHECK_EQ(some[i], 0);
  for (size_t i = 0; i < large; i += page) CHECK_EQ(untouched[i], 0);
  check_pass();
}
