// Shared anonymous memory keeps its bytes, is still shared with a child that is made afterwards,
// and two mappings of one piece stay one.
//
// flavours: all
// not: busy because a checkpoint of a tree of processes is refused for now
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const size_t bytes = 32 * 4096;
  char* at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  char* twin = mremap(at, 0, bytes, MREMAP_MAYMOVE);  // old size 0 duplicates a shared mapping
  CHECK(twin != MAP_FAILED && twin != at);
  check_fill(at, bytes, 14);
  check_ready();
  check_wait();
  CHECK_BYTES(at, bytes, 14);
  CHECK_BYTES(twin, bytes, 14);
  at[5 * 4096] = 77;
  CHECK_EQ(twin[5 * 4096], 77);
  pid_t child = (pid_t)CHECK_SYS(fork());
  if (child == 0) {
    twin[6 * 4096] = 78;
    _exit(0);
  }
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  CHECK_EQ(at[6 * 4096], 78);
  check_pass();
}
