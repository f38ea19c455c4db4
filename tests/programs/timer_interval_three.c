// The three interval timers keep interval and time left, and go on ticking: ITIMER_REAL by the
// clock, ITIMER_VIRTUAL and ITIMER_PROF by CPU time. alarm() is the first of them.
//
// flavours: all
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "check.h"

static volatile int ticks[65];

static void on_tick(int number) {
  ++ticks[number];
}

int main(void) {
  const int kinds[] = {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};
  const int numbers[] = {SIGALRM, SIGVTALRM, SIGPROF};
  struct itimerval far = {.it_value = {3000, 0}, .it_interval = {77, 500000}}, left;
  for (int i = 0; i < 3; ++i) {
    struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    CHECK_SYS(sigaction(numbers[i], &action, NULL));
    CHECK_SYS(setitimer(kinds[i], &far, NULL));
  }
  check_ready();
  check_wait();
  for (int i = 0; i < 3; ++i) {
    CHECK_SYS(getitimer(kinds[i], &left));
    CHECK(left.it_value.tv_sec > 1000 && left.it_value.tv_sec <= 3000);
    CHECK_EQ(left.it_interval.tv_sec, 77);
    CHECK(left.it_interval.tv_usec == 500000);
    CHECK_EQ(ticks[numbers[i]], 0);
  }
  CHECK(alarm(0) > 1000);
  struct itimerval fast = {.it_value = {0, 2000}, .it_interval = {0, 2000}}, off = {0};
  for (int i = 0; i < 3; ++i) {
    CHECK_SYS(setitimer(kinds[i], &fast, NULL));
    while (ticks[numbers[i]] < 5) {
    }
    CHECK_SYS(setitimer(kinds[i], &off, NULL));
  }
  check_pass();
}
