// A mask with every signal blocked that can be, and then each boundary bit alone, is kept.
//
// flavours: all
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static uint64_t mask(void) {
  uint64_t now = 0;
  CHECK_SYS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &now, 8));
  return now;
}

static void set(uint64_t wanted) {
  CHECK_SYS(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &wanted, NULL, 8));
}

int main(void) {
  // The kernel never blocks these two, whatever one asks for.
  const uint64_t never = 1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1);
  set(~0ull);
  CHECK_EQ(mask(), ~never);
  check_ready();
  check_wait();
  CHECK_EQ(mask(), ~never);
  for (int number = 1; number <= 64; ++number) {
    uint64_t bit = 1ull << (number - 1);
    set(bit);
    CHECK_EQ(mask(), bit & ~never);
  }
  set(0);
  CHECK_EQ(mask(), 0);
  check_pass();
}
