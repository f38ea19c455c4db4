// Memory policies, of regions and of threads, as far as a machine with one node has them.
//
// flavours: all
#include <linux/mempolicy.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static sem_t g_go;
static volatile int g_set;

static void expect(void* at, int policy, unsigned long nodes) {
  int mode = -1;
  unsigned long mask = 0;
  CHECK_SYS(syscall(SYS_get_mempolicy, &mode, &mask, 64UL, at, at == NULL ? 0 : MPOL_F_ADDR));
  CHECK_EQ(mode, policy);
  CHECK_EQ(mask, nodes);
}

static void* body(void* unused) {
  unsigned long node = 1;
  CHECK_SYS(syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &node, 64UL));
  g_set = 1;
  while (sem_wait(&g_go) != 0) {
  }
  expect(NULL, MPOL_INTERLEAVE, 1);
  return unused;
}

int main(void) {
  const long page = 4096;
  unsigned long node = 1;
  CHECK_SYS(sem_init(&g_go, 0, 0));
  char* at = mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  char* shared = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(shared != MAP_FAILED);
  if (syscall(SYS_mbind, at, page, MPOL_BIND, &node, 64UL, 0) != 0)
    check_skip("no memory policies here");
  CHECK_SYS(syscall(SYS_mbind, at + page, page, MPOL_PREFERRED, &node, 64UL, 0));
  CHECK_SYS(syscall(SYS_mbind, at + 2 * page, page, MPOL_INTERLEAVE, &node, 64UL, 0));
  CHECK_SYS(syscall(SYS_mbind, at + 3 * page, page, MPOL_LOCAL, NULL, 0UL, 0));
  CHECK_SYS(
      syscall(SYS_mbind, at + 4 * page, page, MPOL_BIND | MPOL_F_STATIC_NODES, &node, 64UL, 0));
  CHECK_SYS(syscall(SYS_mbind, shared, 2 * page, MPOL_BIND, &node, 64UL, 0));
  memset(at, 7, 8 * page);
  CHECK_SYS(syscall(SYS_set_mempolicy, MPOL_PREFERRED, &node, 64UL));
  pthread_t thread;
  CHECK_OK(pthread_create(&thread, NULL, body, NULL));
  while (!g_set) check_sleep_ms(1);
  check_ready();
  check_wait();
  expect(at, MPOL_BIND, 1);
  expect(at + page, MPOL_PREFERRED, 1);
  expect(at + 2 * page, MPOL_INTERLEAVE, 1);
  expect(at + 3 * page, MPOL_LOCAL, 0);
  expect(at + 4 * page, MPOL_BIND | MPOL_F_STATIC_NODES, 1);
  expect(at + 5 * page, MPOL_DEFAULT, 0);
  expect(shared, MPOL_BIND, 1);
  expect(NULL, MPOL_PREFERRED, 1);
  CHECK_EQ(at[5 * page], 7);
  CHECK_SYS(sem_post(&g_go));
  CHECK_OK(pthread_join(thread, NULL));
  check_pass();
}
