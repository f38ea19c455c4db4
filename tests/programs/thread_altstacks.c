// Each thread's alternate signal stack is kept and used by a handler with SA_ONSTACK; a disabled
// one stays disabled.
//
// flavours: all
#include <pthread.h>
#include <signal.h>

#include "check.h"

enum { kThreads = 4, kBytes = 64 * 1024 };
static pthread_barrier_t ready, released;
static char stacks[kThreads][kBytes];
static __thread volatile uintptr_t handled_at;

static void on_signal(int number) {
  (void)number;
  handled_at = (uintptr_t)__builtin_frame_address(0);
}

static void* run(void* argument) {
  intptr_t index = (intptr_t)argument;
  stack_t wanted = {
      .ss_sp = stacks[index], .ss_size = kBytes, .ss_flags = index == 2 ? SS_DISABLE : 0};
  stack_t now;
  CHECK_SYS(sigaltstack(&wanted, NULL));
  pthread_barrier_wait(&ready);
  pthread_barrier_wait(&released);
  CHECK_SYS(sigaltstack(NULL, &now));
  if (index == 2) {
    CHECK_EQ(now.ss_flags, SS_DISABLE);
  } else {
    CHECK(now.ss_sp == stacks[index]);
    CHECK_EQ(now.ss_size, kBytes);
    CHECK_EQ(now.ss_flags, 0);
  }
  CHECK_OK(pthread_kill(pthread_self(), SIGUSR1));
  int inside = handled_at - (uintptr_t)stacks[index] < kBytes;
  CHECK_EQ(inside, index != 2);
  return NULL;
}

int main(void) {
  pthread_t threads[kThreads];
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
  CHECK_SYS(sigaction(SIGUSR1, &action, NULL));
  CHECK_OK(pthread_barrier_init(&ready, NULL, kThreads + 1));
  CHECK_OK(pthread_barrier_init(&released, NULL, kThreads + 1));
  for (intptr_t i = 0; i < kThreads; ++i)
    CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)i));
  pthread_barrier_wait(&ready);
  check_ready();
  check_wait();
  pthread_barrier_wait(&released);
  for (int i = 0; i < kThreads; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  check_pass();
}
