// A memfd, a POSIX shared memory object that has lost its name, and a file, mapped by parent and
// child; the child alone keeps a descriptor of one. Stores go both ways.
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
#include <fcntl.h>
#include <sys/mman.h>

#include "child.h"

#define PAGES 5
#define BYTES ((size_t)(PAGES * 4096))

static char* g_at[3];
static int g_fd[3];

static void child_part(void) {
  for (int i = 0; i < 3; ++i) {
    CHECK_BYTES(g_at[i], BYTES, 10 + (uint64_t)i);
    check_fill(g_at[i], BYTES, 20 + (uint64_t)i);
  }
  CHECK_SYS(ftruncate(g_fd[0], 2 * (off_t)BYTES));
  CHECK_EQ(pwrite(g_fd[0], "end", 3, 2 * (off_t)BYTES - 3), 3);
}

int main(void) {
  g_fd[0] = (int)CHECK_SYS(memfd_create("shared", 0));
  char name[64];
  snprintf(name, sizeof name, "/check-%d", (int)getpid());
  g_fd[1] = (int)CHECK_SYS(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
  CHECK_SYS(shm_unlink(name));
  g_fd[2] = (int)CHECK_SYS(open(check_path("data"), O_RDWR | O_CREAT, 0600));
  for (int i = 0; i < 3; ++i) {
    CHECK_SYS(ftruncate(g_fd[i], (off_t)BYTES));
    g_at[i] = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, g_fd[i], 0);
    CHECK(g_at[i] != MAP_FAILED);
    check_fill(g_at[i], BYTES, (uint64_t)i);
  }
  const check_child child = check_child_start(child_part);
  for (int i = 0; i < 3; ++i) CHECK_SYS(close(g_fd[i]));
  check_ready();
  check_wait();
  for (int i = 0; i < 3; ++i) {
    CHECK_BYTES(g_at[i], BYTES, (uint64_t)i);
    check_fill(g_at[i], BYTES, 10 + (uint64_t)i);
  }
  check_child_finish(child);
  for (int i = 0; i < 3; ++i) CHECK_BYTES(g_at[i], BYTES, 20 + (uint64_t)i);
  g_at[0] = mremap(g_at[0], BYTES, 2 * BYTES, MREMAP_MAYMOVE);
  CHECK(g_at[0] != MAP_FAILED);
  CHECK(memcmp(g_at[0] + 2 * BYTES - 3, "end", 3) == 0);
  check_pass();
}
