// A timer on the process's CPU clock and a one-shot on a thread's expire by CPU time spent,
// afterwards as before.
//
// flavours: all
#include <pthread.h>
#include <signal.h>

#include "check.h"

static volatile int fired[2];

static void on_signal(int number, siginfo_t* info, void* context) {
  (void)number, (void)context;
  ++fired[info->si_value.sival_int];
}

static timer_t create(clockid_t clock, int value) {
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1};
  event.sigev_value.sival_int = value;
  timer_t timer;
  CHECK_SYS(timer_create(clock, &event, &timer));
  return timer;
}

int main(void) {
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
  CHECK_SYS(sigaction(SIGRTMIN + 1, &action, NULL));
  timer_t process = create(CLOCK_PROCESS_CPUTIME_ID, 0),
          thread = create(CLOCK_THREAD_CPUTIME_ID, 1);
  struct itimerspec soon = {.it_value = {0, 300000000}}, later = {.it_value = {0, 350000000}}, left;
  CHECK_SYS(timer_settime(process, 0, &soon, NULL));
  CHECK_SYS(timer_settime(thread, 0, &later, NULL));
  int64_t start = check_nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
  check_ready();
  check_wait();
  CHECK_SYS(timer_gettime(process, &left));
  CHECK_EQ(left.it_value.tv_sec, 0);
  CHECK_EQ(fired[0] + fired[1], 0);
  while (fired[1] == 0) {
  }
  CHECK_EQ(fired[0], 1);
  CHECK(check_nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - start >= 300000000);
  check_pass();
}
