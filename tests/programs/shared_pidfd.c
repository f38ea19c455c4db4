// A pidfd of a child and one of the parent: signals reach them, poll sees the end; a file of /proc/PID
// that the parent holds open of the child is still the child's.
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>

#include "child.h"

static int g_parent;

static void signal_parent(void) {
  CHECK_SYS(syscall(SYS_pidfd_send_signal, g_parent, SIGUSR1, NULL, 0));
}

static volatile sig_atomic_t g_got;
static void note(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  g_got = info->si_pid;
}

int main(void) {
  const struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
  CHECK_SYS(sigaction(SIGUSR1, &action, NULL));
  g_parent = (int)CHECK_SYS(syscall(SYS_pidfd_open, getpid(), 0));
  const check_child child = check_child_start(signal_parent);
  const int of_child = (int)CHECK_SYS(syscall(SYS_pidfd_open, child.pid, 0));
  char path[64], text[64];
  snprintf(path, sizeof path, "/proc/%d/comm", (int)child.pid);
  const int name_of_child = (int)CHECK_SYS(open(path, O_RDONLY));
  check_ready();
  check_wait();
  struct pollfd state = {of_child, POLLIN, 0};
  CHECK_EQ(poll(&state, 1, 0), 0);
  CHECK(pread(name_of_child, text, sizeof text, 0) > 0);
  check_child_go(child);
  while (poll(&state, 1, -1) != 1) CHECK_EQ(errno, EINTR);
  check_child_end(child);
  CHECK_EQ(g_got, child.pid);
  CHECK_ERRNO(pread(name_of_child, text, sizeof text, 0), ESRCH);
  CHECK_ERRNO(syscall(SYS_pidfd_send_signal, of_child, 0, NULL, 0), ESRCH);
  check_pass();
}
