// Private memory of huge pages, partly touched, and its protection.
//
// flavours: all
#include <sys/mman.h>

#include "check.h"

enum { kHuge = 2 << 20 };

int main(void) {
  char* at = mmap(NULL, 3 * kHuge, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
  if (at == MAP_FAILED) check_skip("this machine has no three huge pages to spare");
  check_fill(at, kHuge, 7);
  at[2 * kHuge + 12345] = 'z';
  CHECK_SYS(mprotect(at, kHuge, PROT_READ));
  check_ready();
  check_wait();
  CHECK_BYTES(at, kHuge, 7);
  CHECK_EQ(at[2 * kHuge + 12345], 'z');
  for (int i = 0; i < kHuge; i += 4096) CHECK_EQ(at[kHuge + i], 0);
  CHECK_SYS(mprotect(at, kHuge, PROT_READ | PROT_WRITE));
  at[0] = 1;
  CHECK_SYS(munmap(at + kHuge, kHuge));  // whole pages only: they are huge still
  CHECK_ERRNO(munmap(at + 4096, 4096), EINVAL);
  check_pass();
}
