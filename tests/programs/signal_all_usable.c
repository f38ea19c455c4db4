// Every signal number, SIGSYS, SIGTRAP and all real-time ones included, can be caught, blocked,
// sent and counted by the program: nothing is reserved.
//
// flavours: all
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static volatile int caught[65];

static void on_signal(int number, siginfo_t* info, void* context) {
  (void)context;
  CHECK_EQ(info->si_signo, number);
  ++caught[number];
}

static void verify(void) {
  for (int number = 1; number <= 64; ++number) {
    if (number == SIGKILL || number == SIGSTOP || number == 32 || number == 33) continue;
    uint64_t bit = 1ull << (number - 1), none = 0, pending = 0;
    caught[number] = 0;
    CHECK_SYS(syscall(SYS_tgkill, getpid(), gettid(), number));
    CHECK_EQ(caught[number], 1);
    CHECK_SYS(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &bit, NULL, 8));
    for (int i = 0; i < 3; ++i) CHECK_SYS(kill(getpid(), number));
    CHECK_EQ(caught[number], 1);
    CHECK_SYS(syscall(SYS_rt_sigpending, &pending, 8));
    CHECK_EQ(pending, bit);
    CHECK_SYS(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8));
    int want = number < 32 ? 2 : 4;  // real-time signals queue
    if (caught[number] != want)
      check_fail(__FILE__, __LINE__, "signal %d caught: expected %d, got %d", number, want,
                 caught[number]);
  }
}

int main(void) {
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
  for (int number = 1; number <= 64; ++number)
    if (number != SIGKILL && number != SIGSTOP && number != 32 && number != 33)
      CHECK_SYS(sigaction(number, &action, NULL));
  verify();
  check_expect_eintr();
  check_ready();
  while (check_busy()) verify();
  check_wait();
  verify();
  check_pass();
}
