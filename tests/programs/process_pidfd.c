// Descriptors of processes: of itself, without blocking, and of a child that has ended and was
// waited for.
//
// flavours: all
// not: busy because in the middle of its work it has a pidfd of a living child, which is refused
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static volatile sig_atomic_t taken;
static void handler(int signal) {
  taken = signal;
}

static int is_over(int fd) {
  struct pollfd poll_fd = {fd, POLLIN, 0};
  return CHECK_SYS(poll(&poll_fd, 1, 0)) == 1 && (poll_fd.revents & POLLIN);
}

int main(void) {
  int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
  if (self < 0 && errno == ENOSYS) check_skip("this kernel has no pidfd_open");
  CHECK_SYS(self);
  int relaxed = (int)CHECK_SYS(syscall(SYS_pidfd_open, getpid(), O_NONBLOCK));
  pid_t child = (pid_t)CHECK_SYS(fork());
  if (child == 0) _exit(3);
  int ended = (int)CHECK_SYS(syscall(SYS_pidfd_open, child, 0));
  CHECK_EQ(waitpid(child, NULL, 0), child);
  int copy = (int)CHECK_SYS(dup(ended));
  signal(SIGUSR1, handler);
  check_ready();
  check_wait();
  CHECK(!is_over(self));
  CHECK_EQ(fcntl(relaxed, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  CHECK_EQ(fcntl(self, F_GETFL) & O_NONBLOCK, 0);
  CHECK_SYS(syscall(SYS_pidfd_send_signal, self, SIGUSR1, NULL, 0));
  CHECK_EQ(taken, SIGUSR1);
  CHECK(is_over(ended) && is_over(copy));
  CHECK_ERRNO(syscall(SYS_pidfd_send_signal, ended, 0, NULL, 0), ESRCH);
  siginfo_t info;
  CHECK_ERRNO(waitid(P_PIDFD, (id_t)ended, &info, WEXITED), ECHILD);
  check_pass();
}
