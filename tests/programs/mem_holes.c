// 2,000 mappings with holes between them: what was mapped is, what was not is not.
//
// flavours: all
#include <sys/mman.h>

#include "check.h"

int main(void) {
  const int pieces = 2000;
  char* at = mmap(NULL, (size_t)pieces * 3 * 4096, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  for (int i = 0; i < pieces; ++i) {
    char* piece = at + (size_t)i * 3 * 4096;
    CHECK_SYS(munmap(piece + 8192, 4096));
    CHECK_SYS(mprotect(piece + 4096, 4096, PROT_READ));
    *(int*)piece = i;
  }
  check_ready();
  check_wait();
  unsigned char resident;
  for (int i = 0; i < pieces; ++i) {
    char* piece = at + (size_t)i * 3 * 4096;
    CHECK_EQ(*(int*)piece, i);
    CHECK_EQ(mincore(piece + 4096, 4096, &resident), 0);
    CHECK_ERRNO(mincore(piece + 8192, 4096, &resident), ENOMEM);
  }
  check_pass();
}
