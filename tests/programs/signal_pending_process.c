// Every standard signal pending for the process is still pending, once, with its sender, and
// nothing else.
//
// flavours: all
#include <signal.h>
#include <unistd.h>

#include "check.h"

static volatile int count[65];
static volatile siginfo_t infos[65];

static void on_signal(int number, siginfo_t* info, void* context) {
  (void)context;
  ++count[number];
  infos[number] = *info;
}

static int used(int number) {
  return number != SIGKILL && number != SIGSTOP && number != SIGCONT;
}

int main(void) {
  sigset_t all, pending;
  sigfillset(&all);
  CHECK_SYS(sigprocmask(SIG_BLOCK, &all, NULL));
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
  sigfillset(&action.sa_mask);
  for (int i = 1; i < 32; ++i) {
    if (!used(i)) continue;
    CHECK_SYS(sigaction(i, &action, NULL));
    if (i == SIGTSTP || i == SIGTTIN || i == SIGTTOU || i % 7 == 0) continue;  // some stay absent
    CHECK_SYS(kill(getpid(), i));
    CHECK_SYS(kill(getpid(), i));  // a standard signal is pending at most once
  }
  check_ready();
  check_wait();
  CHECK_SYS(sigpending(&pending));
  for (int i = 1; i < 32; ++i) {
    int want = used(i) && i != SIGTSTP && i != SIGTTIN && i != SIGTTOU && i % 7 != 0;
    if (sigismember(&pending, i) != want)
      check_fail(__FILE__, __LINE__, "signal %d pending: expected %d, got %d", i, want, !want);
  }
  CHECK_SYS(sigprocmask(SIG_UNBLOCK, &all, NULL));
  for (int i = 1; i < 32; ++i) {
    int want = used(i) && i != SIGTSTP && i != SIGTTIN && i != SIGTTOU && i % 7 != 0;
    if (count[i] != want)
      check_fail(__FILE__, __LINE__, "signal %d handled: expected %d times, got %d", i, want,
                 count[i]);
    if (!want) continue;
    CHECK_EQ(infos[i].si_signo, i);
    CHECK_EQ(infos[i].si_code, SI_USER);
    CHECK_EQ(infos[i].si_pid, getpid());
    CHECK_EQ(infos[i].si_uid, getuid());
  }
  check_pass();
}
