// Children stopped by SIGTSTP, SIGTTIN and SIGTTOU, each named in the status that their parent will
// find, by the default action, from within the handler of the signal, in groups of their own. The
// signals that a stopped child handles or would die of wait until it is continued.
// flavours: all

#include <sys/mman.h>

#include "lib/stopped.h"

enum { kSignals = 3, kKinds = 3, kChildren = kSignals * kKinds };
static const int kStops[kSignals] = {SIGTSTP, SIGTTIN, SIGTTOU};

typedef struct {
  volatile int handled[kChildren], continued[kChildren];
} shared;

static shared* common;
static int self;

// As editors and shells do: leave the terminal, stop by the very signal, come back.
static void stop_oneself(int signal) {
  ++common->handled[self];
  const struct sigaction usual = {.sa_handler = SIG_DFL};
  const struct sigaction own = {.sa_handler = stop_oneself};
  sigset_t set, old;
  CHECK_SYS(sigaction(signal, &usual, NULL));
  sigemptyset(&set);
  sigaddset(&set, signal);
  CHECK_SYS(raise(signal));
  CHECK_SYS(sigprocmask(SIG_UNBLOCK, &set, &old));
  CHECK_SYS(sigprocmask(SIG_SETMASK, &old, NULL));
  CHECK_SYS(sigaction(signal, &own, NULL));
}

static void note_continued(int signal) {
  (void)signal, ++common->continued[self];
}

static void child(int index) {
  const int kind = index / kSignals, signal = kStops[index % kSignals];
  self = index;
  const struct sigaction continued = {.sa_handler = note_continued};
  CHECK_SYS(sigaction(SIGCONT, &continued, NULL));
  const struct sigaction own = {.sa_handler = stop_oneself};
  if (kind == 1) CHECK_SYS(sigaction(signal, &own, NULL));
  if (kind == 2) CHECK_SYS(setpgid(0, 0));
  CHECK_SYS(raise(signal));
  for (;;) pause();
}

int main(void) {
  common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(common != MAP_FAILED);
  CHECK_SYS(setpgid(0, 0));  // the parent's group and session keep those of the children from being orphaned
  pid_t pids[kChildren];
  siginfo_t info;
  for (int i = 0; i < kChildren; ++i) {
    pids[i] = (pid_t)CHECK_SYS(fork());
    if (pids[i] == 0) child(i);
    if (i / kSignals < 2) CHECK_SYS(setpgid(pids[i], pids[i]));
  }
  for (int i = 0; i < kChildren; ++i)
    CHECK_SYS(waitid(P_PID, (id_t)pids[i], &info, WSTOPPED | WNOWAIT));
  check_stop_told_once(pids[0], kStops[0]);  // this one alone is told already
  CHECK_SYS(kill(pids[1], SIGTERM));         // and this one is to die, once it goes on
  check_ready();
  while (check_busy())
    for (int i = 0; i < kChildren; ++i) CHECK_EQ(check_state(pids[i], pids[i]), 'T');
  check_wait();
  int status = 0;
  for (int i = 0; i < kChildren; ++i) {
    CHECK_EQ(check_state(pids[i], pids[i]), 'T');
    if (i == 0)
      CHECK_EQ(waitpid(pids[i], &status, WUNTRACED | WNOHANG), 0);
    else
      check_stop_told_once(pids[i], kStops[i % kSignals]);
    CHECK_EQ(common->handled[i], i / kSignals == 1);
    CHECK_EQ(common->continued[i], 0);
  }
  for (int i = 0; i < kChildren; ++i) {
    CHECK_SYS(kill(pids[i], SIGCONT));
    if (i != 1) {
      while (common->continued[i] == 0) check_sleep_ms(1);
      CHECK_SYS(kill(pids[i], SIGTERM));
    }
    CHECK_EQ(waitpid(pids[i], &status, 0), pids[i]);
    CHECK_EQ(status, SIGTERM);
    if (i != 1) CHECK_EQ(common->continued[i], 1);
  }
  check_pass();
}
