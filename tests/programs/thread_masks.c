// Every thread keeps its own signal mask: thread i blocks signal i only.
//
// flavours: all
#include <pthread.h>
#include <signal.h>

#include "check.h"

static pthread_barrier_t ready, released;

static int usable(int number) {
  return number != SIGKILL && number != SIGSTOP && number != 32 && number != 33;  // glibc's own
}

static void* run(void* argument) {
  int number = (int)(intptr_t)argument;
  sigset_t mask, now;
  sigemptyset(&mask);
  if (usable(number)) sigaddset(&mask, number);
  CHECK_OK(pthread_sigmask(SIG_SETMASK, &mask, NULL));
  pthread_barrier_wait(&ready);
  pthread_barrier_wait(&released);
  CHECK_OK(pthread_sigmask(SIG_BLOCK, NULL, &now));
  for (int i = 1; i <= 64; ++i) {
    if (i == 32 || i == 33) continue;
    CHECK_EQ(sigismember(&now, i), i == number && usable(i));
  }
  return NULL;
}

int main(void) {
  pthread_t threads[65];
  CHECK_OK(pthread_barrier_init(&ready, NULL, 65));
  CHECK_OK(pthread_barrier_init(&released, NULL, 65));
  for (intptr_t i = 1; i <= 64; ++i) CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)i));
  pthread_barrier_wait(&ready);
  check_ready();
  check_wait();
  pthread_barrier_wait(&released);
  for (int i = 1; i <= 64; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  check_pass();
}
