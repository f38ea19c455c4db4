// C++ exceptions thrown out of signal handlers, over inline system calls and over faults, at 5 kHz.
#include "common.h"
#include <sys/time.h>

static volatile sig_atomic_t armed;
static int alive;
struct Guard {
  Guard() { alive++; }
  ~Guard() { alive--; }
};

static void on_alarm(int) {
  if (!armed) return;
  armed = 0;
  sigset_t set;  // an exception leaves the handler without rt_sigreturn, so the mask is put back here
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  sigaddset(&set, SIGSEGV);
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
  throw 42;
}
static void on_fault(int) {
  armed = 1;
  on_alarm(0);
}

static inline long raw(long number, long a = 0, long b = 0, long c = 0) {
  asm volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return number;
}

// Without a try block of its own: every instruction here may be where the exception comes from.
template <typename F>
[[gnu::noinline]] static void endless(F call) {
  armed = 1;
  for (;;) call();
}

template <typename F>
static void storm(const char* name, int wanted, F call) {
  int caught = 0;
  while (caught < wanted) {
    try {
      Guard guard;
      endless(call);
    } catch (int value) {
      caught += value == 42;
    }
  }
  printf("%s: caught %d, guards left %d\n", name, caught, alive);
}

int main() {
  struct sigaction action = {};
  action.sa_handler = on_alarm;
  sigaction(SIGALRM, &action, nullptr);
  action.sa_handler = on_fault;
  sigaction(SIGSEGV, &action, nullptr);
  int pipes[2];
  MUST(pipe(pipes));
  char byte;
  timespec brief = {0, 50000000};
  itimerval fast = {{0, 200}, {0, 200}}, off = {};
  setitimer(ITIMER_REAL, &fast, nullptr);
  storm("getpid", 1000, [] { raw(SYS_getpid); });
  storm("read", 1000, [&] { raw(SYS_read, pipes[0], (long)&byte, 1); });
  storm("nanosleep", 1000, [&] { raw(SYS_nanosleep, (long)&brief, 0); });
  storm("libc read", 1000, [&] { if (read(pipes[0], &byte, 1) == 7) abort(); });
  int (*volatile parent)() = getppid;  // the header's declaration promises not to throw
  storm("libc getppid", 1000, [&] { parent(); });
  setitimer(ITIMER_REAL, &off, nullptr);
  storm("fault", 1000, [] { *(volatile int*)8 = 1; });
}
