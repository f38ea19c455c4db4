// One more thread that computes all the time ends with the right sum.
//
// flavours: all
#include <pthread.h>

#include "check.h"

static volatile int stop;

static void* compute(void* unused) {
  (void)unused;
  uint64_t turns = 0, sum = 0;
  while (!stop || turns < 1000) {
    for (int i = 0; i < 1000; ++i) sum += i * 3;
    ++turns;
  }
  CHECK_EQ(sum, turns * 999 * 1000 / 2 * 3);
  return (void*)42;
}

int main(void) {
  pthread_t thread;
  CHECK_OK(pthread_create(&thread, NULL, compute, NULL));
  check_ready();
  check_wait();
  stop = 1;
  void* value;
  CHECK_OK(pthread_join(thread, &value));
  CHECK_EQ((intptr_t)value, 42);
  check_pass();
}
