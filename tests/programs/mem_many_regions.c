// 50,000 regions: every second page of one reservation has another protection, and its own bytes.
//
// flavours: all
// not: busy, fifty because reading the map takes too long to do it fifty times
// unsteady: everything because looking at so many from outside takes most of a minute
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

enum { kPage = 4096, kRegions = 50000 };

int main(void) {
  char* at = mmap(NULL, (size_t)kRegions * kPage, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  for (int i = 0; i < kRegions; i += 100) check_fill(at + (size_t)i * kPage, kPage, i);
  for (int i = 0; i < kRegions; i += 2)
    CHECK_SYS(mprotect(at + (size_t)i * kPage, kPage, PROT_READ));
  check_ready();
  check_wait();
  for (int i = 0; i < kRegions; i += 100) CHECK_BYTES(at + (size_t)i * kPage, kPage, i);
  for (int i = 1; i < kRegions; i += 2) at[(size_t)i * kPage] = 1;
  int zero = (int)CHECK_SYS(open("/dev/zero", O_RDONLY));
  for (int i = 0; i < kRegions; i += 2) CHECK_ERRNO(read(zero, at + (size_t)i * kPage, 1), EFAULT);
  CHECK_SYS(mprotect(at, (size_t)kRegions * kPage, PROT_READ | PROT_WRITE));
  for (int i = 0; i < kRegions; i += 2) at[(size_t)i * kPage] = 2;
  check_pass();
}
