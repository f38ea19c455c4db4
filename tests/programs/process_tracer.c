// A debugger's way: children that are traced from fork or vfork on stop where natively they do, and
// for nothing else, whatever catches their system calls; before and after.
//
// flavours: all
// not: busy because a process that is being traced is refused at the checkpoint
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void expect_stop(pid_t pid, int signal) {
  int status = 0;
  CHECK_EQ(waitpid(pid, &status, __WALL), pid);
  CHECK(WIFSTOPPED(status));
  CHECK_EQ(WSTOPSIG(status), signal);
}

static void expect_end(pid_t pid, int code) {
  int status = 0;
  CHECK_EQ(waitpid(pid, &status, __WALL), pid);
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), code);
}

// Stops at its exec, then runs to its end.
static void run_to_the_end(int by_vfork) {
  const pid_t pid = by_vfork ? vfork() : fork();
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    execl("/bin/sh", "sh", "-c", "exit 5", NULL);
    _exit(127);
  }
  CHECK_SYS(pid);
  expect_stop(pid, SIGTRAP);
  CHECK_SYS(ptrace(PTRACE_CONT, pid, NULL, NULL));
  expect_end(pid, 5);
}

static void by_system_calls(void) {
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    for (int i = 0; i < 3; ++i) syscall(SYS_getppid);
    raise(SIGUSR1);
    _exit(7);
  }
  expect_stop(pid, SIGSTOP);
  CHECK_SYS(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD));
  int stops = 0, signals = 0, status = 0;
  for (;;) {
    CHECK_SYS(ptrace(PTRACE_SYSCALL, pid, NULL, NULL));
    CHECK_EQ(waitpid(pid, &status, __WALL), pid);
    if (!WIFSTOPPED(status)) break;
    const int signal = WSTOPSIG(status);
    stops += signal == (SIGTRAP | 0x80);
    signals += signal == SIGUSR1;  // and it is not passed on
    CHECK(signal == (SIGTRAP | 0x80) || signal == SIGUSR1);
  }
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), 7);
  CHECK_EQ(signals, 1);
  CHECK(stops >= 7);  // three calls, in and out, and the last
}

static void by_waitid(void) {
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    syscall(SYS_getppid);
    raise(SIGUSR2);
    _exit(0);
  }
  siginfo_t info;
  CHECK_SYS(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED));
  CHECK_EQ(info.si_code, CLD_TRAPPED);
  CHECK_EQ(info.si_status, SIGUSR2);
  CHECK_SYS(ptrace(PTRACE_CONT, pid, NULL, NULL));
  expect_end(pid, 0);
}

static void all(void) {
  run_to_the_end(0);
  run_to_the_end(1);
  by_system_calls();
  by_waitid();
}

int main(void) {
  all();
  check_ready();
  check_wait();
  all();
  check_pass();
}
