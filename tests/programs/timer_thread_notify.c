// glibc's SIGEV_THREAD timers keep calling their function in threads of its own.
//
// flavours: all
// unsteady: maps,threads,status because the library makes a thread for each call
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"

static atomic_int calls;

static void notify(union sigval value) {
  CHECK_EQ(value.sival_int, 1234);
  CHECK(gettid() != getpid());
  ++calls;
}

int main(void) {
  struct sigevent event = {.sigev_notify = SIGEV_THREAD};
  event.sigev_notify_function = notify;
  event.sigev_value.sival_int = 1234;
  timer_t timer;
  CHECK_SYS(timer_create(CLOCK_MONOTONIC, &event, &timer));
  struct itimerspec every = {.it_value = {0, 10000000}, .it_interval = {0, 10000000}};
  CHECK_SYS(timer_settime(timer, 0, &every, NULL));
  while (calls < 2) check_sleep_ms(1);
  check_ready();
  check_wait();
  int before = calls;
  while (calls < before + 5) check_sleep_ms(1);
  CHECK_SYS(timer_delete(timer));
  check_pass();
}
