// Threads created after a restart get ids of their own, run and can be joined; 300 of them, in turn
// and together. In the busy flavour threads are made all the time.
//
// flavours: all
#include <pthread.h>
#include <unistd.h>

#include "check.h"

static void* run(void* argument) {
  CHECK(gettid() != getpid());
  return (char*)argument + 1;
}

static void some(int count) {
  pthread_t threads[100];
  for (intptr_t i = 0; i < count; ++i) CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)i));
  for (intptr_t i = 0; i < count; ++i) {
    void* value;
    CHECK_OK(pthread_join(threads[i], &value));
    CHECK_EQ((intptr_t)value, i + 1);
  }
}

int main(void) {
  some(10);
  check_ready();
  while (check_busy()) some(5);
  check_wait();
  for (int i = 0; i < 200; ++i) some(1);
  some(100);
  check_pass();
}
