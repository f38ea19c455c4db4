// A timer whose signal is blocked and pending counts its overruns; the pending signal is there
// once.
//
// flavours: all
#include <signal.h>

#include "check.h"

int main(void) {
  sigset_t set, pending;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  CHECK_SYS(sigprocmask(SIG_BLOCK, &set, NULL));
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
  event.sigev_value.sival_int = 9;
  timer_t timer;
  CHECK_SYS(timer_create(CLOCK_MONOTONIC, &event, &timer));
  struct itimerspec every = {.it_value = {0, 1000000}, .it_interval = {0, 1000000}};
  CHECK_SYS(timer_settime(timer, 0, &every, NULL));
  int64_t started = check_nanoseconds(CLOCK_MONOTONIC);
  do {
    check_sleep_ms(1);
    CHECK_SYS(sigpending(&pending));
  } while (!sigismember(&pending, SIGRTMIN));
  check_ready();
  check_wait();
  int64_t before = check_nanoseconds(CLOCK_MONOTONIC);
  while (check_nanoseconds(CLOCK_MONOTONIC) - before < 20000000) check_sleep_ms(5);
  siginfo_t info;
  struct timespec zero = {0, 0};
  CHECK_EQ(CHECK_SYS(sigtimedwait(&set, &info, &zero)), SIGRTMIN);
  CHECK_EQ(info.si_code, SI_TIMER);
  CHECK_EQ(info.si_value.sival_int, 9);
  CHECK(timer_getoverrun(timer) >= 18);  // 20 ms blocked at 1 kHz
  // Those from before the checkpoint count, too; a restart may be late.
  CHECK(timer_getoverrun(timer) >= (check_nanoseconds(CLOCK_MONOTONIC) - started) / 2000000);
  CHECK_SYS(timer_delete(timer));
  sigtimedwait(&set, &info, &zero);  // one more may have come in between
  CHECK_ERRNO(sigtimedwait(&set, &info, &zero), EAGAIN);
  check_pass();
}
