// Mappings that were moved, grown and shrunk by mremap stay where they are, and can be moved again.
//
// flavours: all
#include <sys/mman.h>

#include "check.h"

int main(void) {
  const size_t page = 4096;
  char* at = mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char* place = mmap(NULL, 64 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED && place != MAP_FAILED);
  check_fill(at, 8 * page, 15);
  char* moved = mremap(at, 8 * page, 16 * page, MREMAP_MAYMOVE | MREMAP_FIXED, place + 8 * page);
  CHECK(moved == place + 8 * page);
  check_fill(moved + 8 * page, 8 * page, 16);
  CHECK(mremap(moved, 16 * page, 12 * page, 0) == moved);
  check_ready();
  while (check_busy()) {
    char* there =
        mremap(moved, 12 * page, 12 * page, MREMAP_MAYMOVE | MREMAP_FIXED, place + 40 * page);
    CHECK(there == place + 40 * page);
    CHECK(mremap(there, 12 * page, 12 * page, MREMAP_MAYMOVE | MREMAP_FIXED, moved) == moved);
  }
  check_wait();
  CHECK_BYTES(moved, 8 * page, 15);
  CHECK_BYTES(moved + 8 * page, 4 * page, 16);
  char* again = mremap(moved, 12 * page, 20 * page, MREMAP_MAYMOVE);
  CHECK(again != MAP_FAILED);
  CHECK_BYTES(again, 8 * page, 15);
  CHECK_BYTES(again + 8 * page, 4 * page, 16);
  for (size_t i = 12 * page; i < 20 * page; ++i) CHECK_EQ(again[i], 0);
  check_pass();
}
