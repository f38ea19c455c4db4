// A ticking timerfd loses and repeats no tick: ticks read are those that fit into the time passed
// on the program's own clock.
//
// flavours: all
#include <sys/timerfd.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const int64_t period = 5000000;
  int fd = (int)CHECK_SYS(timerfd_create(CLOCK_MONOTONIC, 0));
  int64_t start = check_nanoseconds(CLOCK_MONOTONIC) + period;
  struct itimerspec every = {.it_value = {start / 1000000000, start % 1000000000},
                             .it_interval = {0, period}};
  CHECK_SYS(timerfd_settime(fd, TFD_TIMER_ABSTIME, &every, NULL));
  uint64_t total = 0, ticks;
  CHECK_EQ(read(fd, &ticks, 8), 8);
  total += ticks;
  check_ready();
  while (check_busy()) {
    CHECK_EQ(read(fd, &ticks, 8), 8);
    total += ticks;
  }
  check_wait();
  for (int i = 0; i < 5; ++i) {
    int64_t before = check_nanoseconds(CLOCK_MONOTONIC);
    CHECK_EQ(read(fd, &ticks, 8), 8);
    int64_t after = check_nanoseconds(CLOCK_MONOTONIC);
    total += ticks;
    // The n-th tick falls on start + (n - 1) * period: all due before the read, none after it.
    CHECK((int64_t)total >= (before - start) / period + 1);
    CHECK((int64_t)total <= (after - start) / period + 1);
  }
  check_pass();
}
