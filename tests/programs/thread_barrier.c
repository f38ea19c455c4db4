// A barrier with all but one thread waiting opens for all, and exactly one is the serial thread.
//
// flavours: all
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"

enum { kThreads = 10, kRounds = 50 };
static pthread_barrier_t barrier;
static atomic_int tids[kThreads], serial, rounds;

static void* run(void* argument) {
  atomic_int* tid = argument;
  *tid = gettid();
  for (int round = 0; round < kRounds; ++round) {
    if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD) ++serial;
    ++rounds;
  }
  return NULL;
}

int main(void) {
  pthread_t threads[kThreads];
  CHECK_OK(pthread_barrier_init(&barrier, NULL, kThreads + 1));
  for (int i = 0; i < kThreads; ++i) CHECK_OK(pthread_create(&threads[i], NULL, run, &tids[i]));
  for (int i = 0; i < kThreads; ++i) {
    while (tids[i] == 0) check_sleep_ms(1);
    check_until_asleep(tids[i]);
  }
  check_ready();
  check_wait();
  CHECK_EQ(rounds, 0);
  int mine = 0;
  for (int round = 0; round < kRounds; ++round)
    mine += pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
  for (int i = 0; i < kThreads; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  CHECK_EQ(serial + mine, kRounds);
  CHECK_EQ(rounds, kThreads * kRounds);
  check_pass();
}
