// nanosleep interrupted by a handler after the checkpoint reports what is left of the original
// duration; sigtimedwait and clock_nanosleep with an absolute time in the past return at once.
//
// flavours: all
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"

static atomic_int tid;
static struct timespec left;
static int64_t began, ended;

static void on_signal(int number) {
  (void)number;
}

static void* run(void* unused) {
  (void)unused;
  struct timespec long_time = {1000, 0};
  began = check_nanoseconds(CLOCK_MONOTONIC);
  tid = gettid();
  CHECK_ERRNO(nanosleep(&long_time, &left), EINTR);
  ended = check_nanoseconds(CLOCK_MONOTONIC);
  return NULL;
}

int main(void) {
  struct sigaction action = {.sa_handler = on_signal};
  CHECK_SYS(sigaction(SIGUSR1, &action, NULL));
  pthread_t thread;
  CHECK_OK(pthread_create(&thread, NULL, run, NULL));
  while (tid == 0) check_sleep_ms(1);
  check_until_asleep(tid);
  check_ready();
  check_wait();
  check_until_asleep(tid);
  CHECK_OK(pthread_kill(thread, SIGUSR1));
  CHECK_OK(pthread_join(thread, NULL));
  int64_t rest = left.tv_sec * INT64_C(1000000000) + left.tv_nsec;
  CHECK(rest <= INT64_C(1000000000000));
  // What passed and what is left make up the whole, apart from getting into and out of the call.
  CHECK(rest + (ended - began) >= INT64_C(1000000000000));
  CHECK(rest + (ended - began) < INT64_C(1002000000000));
  struct timespec past = {1, 0}, zero = {0, 0};
  CHECK_OK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &past, NULL));
  sigset_t none;
  sigemptyset(&none);
  CHECK_ERRNO(sigtimedwait(&none, NULL, &zero), EAGAIN);
  check_pass();
}
