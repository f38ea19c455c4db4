// CLOCK_MONOTONIC and BOOTTIME go on without a jump over the downtime, CLOCK_REALTIME is the
// world's; the coarse and raw ones agree; the vDSO and the system call tell the same.
//
// flavours: all
// downtime: 4
// not: fifty because it tells a downtime by how much time has passed
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "check.h"

static const clockid_t kSteady[] = {CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE,
                                    CLOCK_BOOTTIME};
enum { kClocks = 4 };

static int64_t by_call(clockid_t clock) {
  struct timespec now;
  CHECK_SYS(syscall(SYS_clock_gettime, clock, &now));
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void verify_agreement(void) {
  for (int i = 0; i < kClocks; ++i) {
    int64_t first = check_nanoseconds(kSteady[i]), call = by_call(kSteady[i]),
            last = check_nanoseconds(kSteady[i]);
    CHECK(first <= call && call <= last);
  }
  struct timeval day;
  int64_t before = check_nanoseconds(CLOCK_REALTIME);
  gettimeofday(&day, NULL);
  int64_t after = check_nanoseconds(CLOCK_REALTIME);
  int64_t between = (day.tv_sec * INT64_C(1000000) + day.tv_usec) * 1000;
  CHECK(before / 1000 * 1000 <= between && between <= after);
  CHECK(time(NULL) >= before / 1000000000 - 1 && time(NULL) <= after / 1000000000 + 1);
}

int main(void) {
  int64_t world = check_nanoseconds(CLOCK_REALTIME), steady[kClocks];
  verify_agreement();
  check_ready();
  for (int i = 0; i < kClocks; ++i) steady[i] = check_nanoseconds(kSteady[i]);
  while (check_busy()) {
    for (int i = 0; i < kClocks; ++i) {
      int64_t now = check_nanoseconds(kSteady[i]);
      CHECK(now >= steady[i]);
      steady[i] = now;
    }
    int64_t now = check_nanoseconds(CLOCK_REALTIME);
    CHECK(now >= world);
    world = now;
  }
  check_wait();
  int64_t world_passed = check_nanoseconds(CLOCK_REALTIME) - world;
  for (int i = 0; i < kClocks; ++i) {
    int64_t passed = check_nanoseconds(kSteady[i]) - steady[i];
    CHECK(passed >= -4000000);  // a coarse clock lags by up to a tick
    CHECK(passed <= world_passed + 10000000);
    // Each downtime is of 4 seconds: if the world saw one, this clock must have left out most of
    // it.
    if (world_passed > 4000000000 && !check_is_busy()) CHECK(world_passed - passed > 2000000000);
  }
  verify_agreement();
  check_pass();
}
