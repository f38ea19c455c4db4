// Two threads that synchronise by spinning on shared memory, never by the kernel, stay in step.
//
// flavours: all
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "check.h"

static atomic_long turn;
static atomic_int stop;
static long counted[2];

static void* run(void* argument) {
  intptr_t me = (intptr_t)argument;
  for (long mine = me;; mine += 2) {
    for (long spins = 0; atomic_load(&turn) != mine; ++spins) {
      if (spins > 1000) sched_yield();
    }
    ++counted[me];
    // Thread 0 decides about the end, so that both do the same number of turns.
    if (me == 0 && stop == 1) stop = 2;
    int last = stop == 2;
    atomic_store(&turn, mine + 1);
    if (last) return NULL;
  }
}

int main(void) {
  pthread_t threads[2];
  for (intptr_t i = 0; i < 2; ++i) CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)i));
  check_ready();
  check_wait();
  stop = 1;
  for (int i = 0; i < 2; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  CHECK_EQ(counted[0], counted[1]);
  CHECK_EQ(turn, counted[0] * 2);
  check_pass();
}
