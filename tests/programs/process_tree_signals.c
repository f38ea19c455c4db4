// Signals between the processes of a job: SIGCHLD names the child, a child's signals name the
// parent, handlers and pending signals are each process's own, and a taken SIGCHLD does not come
// again.
// flavours: all

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/check.h"

static volatile sig_atomic_t notices;
static siginfo_t last;

static void on_child(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  last = *info;
  ++notices;
}

static siginfo_t wait_for(int signal) {
  sigset_t set;
  siginfo_t info;
  sigemptyset(&set);
  sigaddset(&set, signal);
  while (sigwaitinfo(&set, &info) != signal) {
  }
  return info;
}

int main(void) {
  struct sigaction action = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigset_t set;
  CHECK_SYS(sigaction(SIGCHLD, &action, NULL));
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGRTMIN);
  CHECK_SYS(sigprocmask(SIG_BLOCK, &set, NULL));
  check_expect_eintr();

  const pid_t ended = CHECK_SYS(fork());
  if (ended == 0) _exit(3);
  while (notices == 0) usleep(1000);
  const pid_t child = CHECK_SYS(fork());
  if (child == 0) {
    const pid_t parent = getppid();
    const siginfo_t asked = wait_for(SIGUSR1);
    if (asked.si_pid != parent || getppid() != parent) _exit(41);
    const union sigval value = {.sival_int = 12345};
    if (sigqueue(parent, SIGRTMIN, value) != 0) _exit(42);
    wait_for(SIGUSR1);
    _exit(43);
  }

  check_ready();
  check_wait();

  CHECK_EQ(notices, 1);
  CHECK_EQ(last.si_pid, ended);
  CHECK_SYS(kill(child, SIGUSR1));
  const siginfo_t answer = wait_for(SIGRTMIN);
  CHECK_EQ(answer.si_pid, child);
  CHECK_EQ(answer.si_value.sival_int, 12345);
  CHECK_SYS(kill(child, SIGUSR1));
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 43 << 8);
  CHECK_EQ(notices, 2);
  CHECK_EQ(last.si_pid, child);
  CHECK_EQ(last.si_status, 43);
  CHECK_EQ(waitpid(-1, &status, 0), ended);
  CHECK_EQ(status, 3 << 8);
  check_pass();
}
