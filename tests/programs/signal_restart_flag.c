// With SA_RESTART a blocked read goes on after the handler; without it gives EINTR. Both threads
// were blocked before the checkpoint and are signalled after it.
//
// flavours: all
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"

static int ends[2][2];
static atomic_int tids[2], handled[2];

static void on_restart(int number) {
  (void)number, ++handled[0];
}
static void on_interrupt(int number) {
  (void)number, ++handled[1];
}

static void* run(void* argument) {
  intptr_t index = (intptr_t)argument;
  char byte = 0;
  tids[index] = gettid();
  ssize_t result = read(ends[index][0], &byte, 1);
  if (index == 0) {
    CHECK_EQ(result, 1);
    CHECK_EQ(byte, 'x');
  } else {
    CHECK_EQ(result, -1);
    CHECK_EQ(errno, EINTR);
  }
  return NULL;
}

int main(void) {
  pthread_t threads[2];
  struct sigaction restart = {.sa_handler = on_restart, .sa_flags = SA_RESTART};
  struct sigaction interrupt = {.sa_handler = on_interrupt};
  CHECK_SYS(sigaction(SIGUSR1, &restart, NULL));
  CHECK_SYS(sigaction(SIGUSR2, &interrupt, NULL));
  for (intptr_t i = 0; i < 2; ++i) {
    CHECK_SYS(pipe(ends[i]));
    CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)i));
    while (tids[i] == 0) check_sleep_ms(1);
    check_until_asleep(tids[i]);
  }
  check_ready();
  check_wait();
  CHECK_EQ(handled[0] + handled[1], 0);
  for (int i = 1; i <= 5; ++i) {
    CHECK_OK(pthread_kill(threads[0], SIGUSR1));
    while (handled[0] < i) check_sleep_ms(1);
  }
  CHECK_OK(pthread_kill(threads[1], SIGUSR2));
  CHECK_OK(pthread_join(threads[1], NULL));
  CHECK_EQ(handled[1], 1);
  check_until_asleep(tids[0]);
  CHECK_EQ(write(ends[0][1], "x", 1), 1);
  CHECK_OK(pthread_join(threads[0], NULL));
  check_pass();
}
