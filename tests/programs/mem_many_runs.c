// Memory with as many separate runs of pages as the kernel reports at a time, one more, one less.
//
// flavours: all
#include <sys/mman.h>

#include "check.h"

enum { kPage = 4096 };
static const int kRuns[] = {1, 511, 512, 513, 700, 1023, 1024, 1025, 1535, 1537, 3000};
enum { kAreas = sizeof kRuns / sizeof kRuns[0] };

int main(void) {
  char* area[kAreas];
  for (int i = 0; i < kAreas; ++i) {
    // Every second page is touched; no huge page may fill the gaps.
    size_t bytes = 2UL * kRuns[i] * kPage;
    area[i] = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(area[i] != MAP_FAILED);
    (void)madvise(area[i], bytes, MADV_NOHUGEPAGE);
    for (int run = 0; run < kRuns[i]; ++run)
      check_fill(area[i] + 2UL * run * kPage, kPage, i * 10000 + run);
  }
  check_ready();
  check_wait();
  for (int i = 0; i < kAreas; ++i)
    for (int run = 0; run < kRuns[i]; ++run) {
      char* at = area[i] + 2UL * run * kPage;
      CHECK_BYTES(at, kPage, i * 10000 + run);
      for (int byte = 0; byte < kPage; ++byte) CHECK_EQ(at[kPage + byte], 0);
    }
  check_pass();
}
