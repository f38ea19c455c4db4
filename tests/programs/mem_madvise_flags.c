// Advice that changes what a mapping is (DONTFORK, WIPEONFORK, DONTDUMP) is kept.
//
// flavours: all
// not: busy because a checkpoint of a tree of processes is refused for now
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char* map(int advice) {
  char* at = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  CHECK_SYS(madvise(at + 4096, 4096, advice));  // the middle page only
  memset(at, 9, 3 * 4096);
  return at;
}

// The letters of /proc/self/smaps for the mapping that contains `at`.
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
  char *no_fork = map(MADV_DONTFORK), *wipe = map(MADV_WIPEONFORK), *no_dump = map(MADV_DONTDUMP);
  check_ready();
  check_wait();
  CHECK_EQ(has_flag(no_fork + 4096, " dc"), 1);
  CHECK_EQ(has_flag(no_fork, " dc"), 0);
  CHECK_EQ(has_flag(no_fork + 8192, " dc"), 0);
  CHECK_EQ(has_flag(wipe + 4096, " wf"), 1);
  CHECK_EQ(has_flag(wipe, " wf"), 0);
  CHECK_EQ(has_flag(no_dump + 4096, " dd"), 1);
  CHECK_EQ(has_flag(no_dump, " dd"), 0);
  CHECK_EQ(no_fork[4096] + wipe[4096] + no_dump[4096], 27);

  int ends[2];
  CHECK_SYS(pipe(ends));
  pid_t child = (pid_t)CHECK_SYS(fork());
  if (child == 0) {
    int gone = write(ends[1], no_fork + 4096, 1) == -1 && errno == EFAULT;
    int there = no_fork[0] == 9 && wipe[0] == 9 && wipe[8192] == 9 && no_dump[4096] == 9;
    _exit(gone && there && wipe[4096] == 0 ? 0 : 1);
  }
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  check_pass();
}
