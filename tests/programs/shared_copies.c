// Memory that was copied at a fork: the same pages in parent and child, and each one's own changes.
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
#include <sys/mman.h>

#include "child.h"

#define PAGES 64
#define BYTES ((size_t)PAGES * 4096)

static char* g_memory;

static void look(void) {
  for (size_t i = 0; i < PAGES; ++i) CHECK_BYTES(g_memory + i * 4096, 4096, i % 2 == 0 ? i : 1000);
}

int main(void) {
  g_memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(g_memory != MAP_FAILED);
  for (size_t i = 0; i < PAGES; ++i) check_fill(g_memory + i * 4096, 4096, i % 2 == 0 ? i : 1000);
  const check_child child = check_child_start(look);
  for (size_t i = 1; i < PAGES; i += 2) check_fill(g_memory + i * 4096, 4096, 2000 + i);
  check_ready();
  check_wait();
  for (size_t i = 0; i < PAGES; ++i)
    CHECK_BYTES(g_memory + i * 4096, 4096, i % 2 == 0 ? i : 2000 + i);
  check_child_finish(child);
  check_pass();
}
