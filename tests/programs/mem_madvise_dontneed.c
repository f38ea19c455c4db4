// Pages given back by MADV_DONTNEED read as zero afterwards, their neighbours as before.
//
// flavours: all
#include <sys/mman.h>

#include "check.h"

int main(void) {
  const int pages = 256;
  char* at = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  check_fill(at, pages * 4096, 17);
  for (int i = 0; i < pages; i += 2) CHECK_SYS(madvise(at + i * 4096, 4096, MADV_DONTNEED));
  check_ready();
  check_wait();
  static const char zero[4096];
  char* whole = malloc(pages * 4096);
  check_fill(whole, pages * 4096, 17);
  for (int i = 0; i < pages; ++i)
    CHECK(memcmp(at + i * 4096, i % 2 == 0 ? zero : whole + i * 4096, 4096) == 0);
  check_pass();
}
