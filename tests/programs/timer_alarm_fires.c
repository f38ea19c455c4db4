// An alarm set before the checkpoint comes after it, once, not early and not begun anew: its order
// to a sleep with an absolute deadline of the same clock shows that.
//
// flavours: all
// not: busy because it waits for a second and a half
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "check.h"

static volatile int64_t fired_at;
static volatile int fired;

static void on_alarm(int number) {
  (void)number;
  fired_at = check_nanoseconds(CLOCK_MONOTONIC);
  ++fired;
}

int main(void) {
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  CHECK_SYS(sigaction(SIGALRM, &action, NULL));
  struct itimerval in_1500 = {.it_value = {1, 500000}};
  int64_t start = check_nanoseconds(CLOCK_MONOTONIC);
  CHECK_SYS(setitimer(ITIMER_REAL, &in_1500, NULL));
  check_expect_eintr();
  while (check_nanoseconds(CLOCK_MONOTONIC) - start < 900000000) check_sleep_ms(10);
  check_ready();
  check_wait();
  // Begun anew at a restart it would come 0.9 s after this moment.
  int64_t deadline = start + 1500000000ll + 700000000;
  struct timespec until = {deadline / 1000000000, deadline % 1000000000};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
  }
  CHECK_EQ(fired, 1);
  CHECK(fired_at - start >= 1500000000);
  check_pass();
}
