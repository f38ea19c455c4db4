// MADV_HUGEPAGE and MADV_NOHUGEPAGE stay on their mappings, and the bytes with them.
//
// flavours: all
#include <sys/mman.h>

#include "check.h"

static int has_flag(const void* at, const char* flag) {
  FILE* maps = fopen("/proc/self/smaps", "re");
  CHECK(maps != NULL);
  char line[512];
  int inside = 0, found = -1;
  while (fgets(line, sizeof line, maps) != NULL) {
    unsigned long start, end;
    if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
      inside = (unsigned long)at >= start && (unsigned long)at < end;
    if (inside && strncmp(line, "VmFlags:", 8) == 0) found = strstr(line, flag) != NULL;
  }
  fclose(maps);
  CHECK(found != -1);
  return found;
}

int main(void) {
  const size_t huge = 2 << 20, bytes = 4 * huge;
  char* space =
      mmap(NULL, bytes + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(space != MAP_FAILED);
  char* at = (char*)(((uintptr_t)space + huge - 1) & ~(huge - 1));
  if (madvise(at, 2 * huge, MADV_HUGEPAGE) != 0) check_skip("the kernel has no huge pages");
  CHECK_SYS(madvise(at + 2 * huge, huge, MADV_NOHUGEPAGE));
  check_fill(at, bytes, 19);
  check_ready();
  check_wait();
  CHECK_EQ(has_flag(at, " hg"), 1);
  CHECK_EQ(has_flag(at + 2 * huge, " nh"), 1);
  CHECK_EQ(has_flag(at + 2 * huge, " hg"), 0);
  CHECK_EQ(has_flag(at + 3 * huge, " nh"), 0);
  CHECK_BYTES(at, bytes, 19);
  check_pass();
}
