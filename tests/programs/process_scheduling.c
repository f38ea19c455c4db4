// Nice value, policies of threads (batch, idle), affinity and I/O priority are kept.
//
// flavours: all
// unsteady: threads because an idle thread gets no CPU on a busy machine to leave the runtime
// not: busy because a raised nice value cannot always be lowered for the next round
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static pthread_barrier_t ready, released;
static cpu_set_t allowed, last_only;
static const int kPolicies[] = {SCHED_BATCH, SCHED_IDLE, SCHED_OTHER};

static void* run(void* argument) {
  intptr_t index = (intptr_t)argument;
  struct sched_param zero = {0};
  cpu_set_t now;
  CHECK_SYS(sched_setscheduler(0, kPolicies[index], &zero));
  CHECK_SYS(setpriority(PRIO_PROCESS, 0, 5 + (int)index));
  CHECK_SYS(sched_setaffinity(0, sizeof last_only, index == 1 ? &last_only : &allowed));
  CHECK_SYS(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | (3 + index)));  // best effort, level
  pthread_barrier_wait(&ready);
  pthread_barrier_wait(&released);
  CHECK_EQ(sched_getscheduler(0), kPolicies[index]);
  CHECK_EQ(getpriority(PRIO_PROCESS, 0), 5 + index);
  CHECK_SYS(sched_getaffinity(0, sizeof now, &now));
  CHECK(CPU_EQUAL(&now, index == 1 ? &last_only : &allowed));
  CHECK_EQ(syscall(SYS_ioprio_get, 1, 0), 2 << 13 | (3 + index));
  return NULL;
}

int main(void) {
  pthread_t threads[3];
  CHECK_SYS(sched_getaffinity(0, sizeof allowed, &allowed));
  CPU_ZERO(&last_only);
  for (int cpu = CPU_SETSIZE - 1; cpu >= 0; --cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    CPU_SET(cpu, &last_only);
    break;
  }
  CHECK_OK(pthread_barrier_init(&ready, NULL, 4));
  CHECK_OK(pthread_barrier_init(&released, NULL, 4));
  for (intptr_t i = 0; i < 3; ++i) CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)i));
  pthread_barrier_wait(&ready);
  int base = getpriority(PRIO_PROCESS, 0);
  check_ready();
  check_wait();
  pthread_barrier_wait(&released);
  CHECK_EQ(getpriority(PRIO_PROCESS, 0), base);
  for (int i = 0; i < 3; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  check_pass();
}
