// Every kind of timerfd - disarmed, one-shot and interval far away, absolute, expired with unread
// ticks; over the three clocks - is kept. The time left only shrinks.
//
// flavours: all
#include <fcntl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "check.h"

static int64_t nanoseconds(struct timespec at) {
  return at.tv_sec * 1000000000ll + at.tv_nsec;
}

int main(void) {
  const int clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME};
  int disarmed[3], once[3], interval[3], absolute[3], expired[3];
  const struct itimerspec in_an_hour = {.it_value = {3600, 123456789}};
  const struct itimerspec every_hour = {.it_value = {3600, 0}, .it_interval = {1800, 999999999}};
  const struct itimerspec at_once = {.it_value = {0, 1}};
  for (int i = 0; i < 3; ++i) {
    int* all[] = {&disarmed[i], &once[i], &interval[i], &absolute[i], &expired[i]};
    for (int k = 0; k < 5; ++k) *all[k] = (int)CHECK_SYS(timerfd_create(clocks[i], TFD_NONBLOCK));
    CHECK_SYS(timerfd_settime(once[i], 0, &in_an_hour, NULL));
    CHECK_SYS(timerfd_settime(interval[i], 0, &every_hour, NULL));
    struct itimerspec at = {0};
    CHECK_SYS(clock_gettime(clocks[i], &at.it_value));
    at.it_value.tv_sec += 7200;
    CHECK_SYS(timerfd_settime(absolute[i], TFD_TIMER_ABSTIME, &at, NULL));
    CHECK_SYS(timerfd_settime(expired[i], 0, &at_once, NULL));
  }
  check_sleep_ms(2);
  check_ready();
  check_wait();
  for (int i = 0; i < 3; ++i) {
    struct itimerspec left;
    uint64_t ticks = 0;
    CHECK_SYS(timerfd_gettime(disarmed[i], &left));
    CHECK_EQ(nanoseconds(left.it_value) + nanoseconds(left.it_interval), 0);
    CHECK_ERRNO(read(disarmed[i], &ticks, 8), EAGAIN);
    CHECK_SYS(timerfd_gettime(once[i], &left));
    CHECK(nanoseconds(left.it_value) <= nanoseconds(in_an_hour.it_value));
    CHECK(nanoseconds(left.it_value) > 1800ll * 1000000000);
    CHECK_EQ(nanoseconds(left.it_interval), 0);
    CHECK_SYS(timerfd_gettime(interval[i], &left));
    CHECK(nanoseconds(left.it_value) > 1800ll * 1000000000);
    CHECK_EQ(nanoseconds(left.it_interval), nanoseconds(every_hour.it_interval));
    CHECK_SYS(timerfd_gettime(absolute[i], &left));
    CHECK(nanoseconds(left.it_value) <= 7200ll * 1000000000);
    CHECK(nanoseconds(left.it_value) > 5400ll * 1000000000);
    CHECK_EQ(read(expired[i], &ticks, 8), 8);
    CHECK_EQ(ticks, 1);
    CHECK_ERRNO(read(expired[i], &ticks, 8), EAGAIN);
  }
  check_pass();
}
