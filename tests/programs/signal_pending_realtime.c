// Real-time signals pending for process and thread keep number, order, count and value.
//
// flavours: all
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "check.h"

enum { kEach = 20 };

int main(void) {
  const int numbers[] = {SIGRTMIN, SIGRTMIN + 1, (SIGRTMIN + SIGRTMAX) / 2, SIGRTMAX - 1, SIGRTMAX};
  sigset_t all, pending;
  sigfillset(&all);
  CHECK_SYS(sigprocmask(SIG_BLOCK, &all, NULL));
  for (int i = 0; i < kEach; ++i) {
    for (int k = 4; k >= 0; --k) {  // highest first: delivery sorts by number, then by age
      union sigval value = {.sival_ptr =
                                (void*)(0xfedcba9800000000ull + (uintptr_t)(k * 1000 + i))};
      if (k % 2 == 0)
        CHECK_SYS(sigqueue(getpid(), numbers[k], value));
      else
        CHECK_OK(pthread_sigqueue(pthread_self(), numbers[k], value));
    }
  }
  check_ready();
  check_wait();
  CHECK_SYS(sigpending(&pending));
  for (int number = SIGRTMIN; number <= SIGRTMAX; ++number) {
    int want = 0;
    for (int k = 0; k < 5; ++k) want |= numbers[k] == number;
    CHECK_EQ(sigismember(&pending, number), want);
  }
  struct timespec zero = {0, 0};
  for (int k = 0; k < 5; ++k) {
    for (int i = 0; i < kEach; ++i) {
      sigset_t one;
      siginfo_t info;
      sigemptyset(&one);
      sigaddset(&one, numbers[k]);
      CHECK_EQ(CHECK_SYS(sigtimedwait(&one, &info, &zero)), numbers[k]);
      CHECK_EQ(info.si_code, SI_QUEUE);
      CHECK_EQ(info.si_pid, getpid());
      CHECK_EQ((uintptr_t)info.si_value.sival_ptr,
               0xfedcba9800000000ull + (uintptr_t)(k * 1000 + i));
    }
  }
  CHECK_ERRNO(sigtimedwait(&all, NULL, &zero), EAGAIN);
  check_pass();
}
