// Signals pending for single threads stay with those threads; others do not get them.
//
// flavours: all
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "check.h"

enum { kThreads = 8 };
static pthread_barrier_t ready, released;
static atomic_int handled[kThreads];
static __thread int me;

static void on_signal(int number) {
  handled[me] += number == SIGUSR1 ? 1 : number == SIGUSR2 ? 100 : 10000;
}

static void* run(void* argument) {
  me = (int)(intptr_t)argument;
  sigset_t all, pending;
  sigfillset(&all);
  CHECK_OK(pthread_sigmask(SIG_BLOCK, &all, NULL));
  pthread_barrier_wait(&ready);
  pthread_barrier_wait(&released);
  CHECK_SYS(sigpending(&pending));
  CHECK_EQ(sigismember(&pending, SIGUSR1), me % 2 == 0);
  CHECK_EQ(sigismember(&pending, SIGUSR2), me % 3 == 0);
  CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &all, NULL));
  CHECK_EQ(handled[me], (me % 2 == 0 ? 1 : 0) + (me % 3 == 0 ? 100 : 0));
  return NULL;
}

int main(void) {
  pthread_t threads[kThreads];
  struct sigaction action = {.sa_handler = on_signal};
  CHECK_SYS(sigaction(SIGUSR1, &action, NULL));
  CHECK_SYS(sigaction(SIGUSR2, &action, NULL));
  CHECK_OK(pthread_barrier_init(&ready, NULL, kThreads + 1));
  CHECK_OK(pthread_barrier_init(&released, NULL, kThreads + 1));
  for (intptr_t i = 0; i < kThreads; ++i)
    CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)i));
  pthread_barrier_wait(&ready);
  for (int i = 0; i < kThreads; ++i) {
    if (i % 2 == 0) CHECK_OK(pthread_kill(threads[i], SIGUSR1));
    if (i % 3 == 0) CHECK_OK(pthread_kill(threads[i], SIGUSR2));
  }
  check_ready();
  check_wait();
  pthread_barrier_wait(&released);
  for (int i = 0; i < kThreads; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  check_pass();
}
