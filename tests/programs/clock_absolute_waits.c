// An absolute timeout of futex_waitv is one of the program's clock, and sysinfo counts the uptime by it,
// although the machine's clocks went on while the program did not run.
//
// flavours: all
// downtime: 3
#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "check.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

struct waiter {
  uint64_t value, address;
  uint32_t flags, reserved;
};

static uint32_t word;

static void verify(void) {
  struct waiter waiter = {0, (uint64_t)&word, 2 | FUTEX_PRIVATE_FLAG, 0};  // 2: 32 bits
  int64_t until = check_nanoseconds(CLOCK_MONOTONIC) + 200000000;
  struct timespec timeout = {until / 1000000000, until % 1000000000};
  errno = 0;
  CHECK_EQ(syscall(SYS_futex_waitv, &waiter, 1, 0, &timeout, CLOCK_MONOTONIC), -1);
  if (errno != ENOSYS) {  // before Linux 5.16
    CHECK_EQ(errno, ETIMEDOUT);
    CHECK(check_nanoseconds(CLOCK_MONOTONIC) >= until);
  }
  struct sysinfo info;
  int64_t before = check_nanoseconds(CLOCK_BOOTTIME) / 1000000000;
  CHECK_SYS(sysinfo(&info));
  int64_t after = check_nanoseconds(CLOCK_BOOTTIME) / 1000000000;
  CHECK(info.uptime >= before - 1 && info.uptime <= after + 1);  // it rounds, and so does an offset
}

int main(void) {
  verify();
  check_ready();
  while (check_busy()) verify();
  check_wait();
  verify();
  check_pass();
}
