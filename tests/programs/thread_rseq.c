// The restartable sequence area of each thread stays registered: cpu_id is the CPU it runs on.
//
// flavours: all
#include <pthread.h>
#include <sched.h>
#include <sys/rseq.h>

#include "check.h"

static struct rseq* area(void) {
  return (struct rseq*)((char*)__builtin_thread_pointer() + __rseq_offset);
}

// Moves to each allowed CPU in turn: the kernel must tell the area.
static void verify(void) {
  cpu_set_t allowed;
  CHECK_SYS(sched_getaffinity(0, sizeof allowed, &allowed));
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    CHECK_SYS(sched_setaffinity(0, sizeof one, &one));
    CHECK_EQ(*(volatile uint32_t*)&area()->cpu_id, cpu);
    CHECK_EQ(*(volatile uint32_t*)&area()->cpu_id_start, cpu);
    CHECK_EQ(sched_getcpu(), cpu);
  }
  CHECK_SYS(sched_setaffinity(0, sizeof allowed, &allowed));
}

static pthread_barrier_t ready, released;

static void* run(void* unused) {
  (void)unused;
  verify();
  pthread_barrier_wait(&ready);
  pthread_barrier_wait(&released);
  verify();
  return NULL;
}

int main(void) {
  if (__rseq_size == 0 || (int)area()->cpu_id < 0) check_skip("glibc has not registered rseq here");
  pthread_t threads[3];
  CHECK_OK(pthread_barrier_init(&ready, NULL, 4));
  CHECK_OK(pthread_barrier_init(&released, NULL, 4));
  for (int i = 0; i < 3; ++i) CHECK_OK(pthread_create(&threads[i], NULL, run, NULL));
  verify();
  pthread_barrier_wait(&ready);
  check_ready();
  check_wait();
  verify();
  pthread_barrier_wait(&released);
  for (int i = 0; i < 3; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  check_pass();
}
