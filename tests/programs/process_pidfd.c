// Descriptors of processes: of itself, without blocking, and of children that have ended, waited
// for and not.
//
// flavours: all
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static volatile sig_atomic_t taken;
static void handler(int signal) {
  taken = signal;
}

// Which pidfds stand for one process is told by their inodes since Linux 6.9.
static int same_inode(int left, int right) {
  struct stat one, other;
  CHECK_SYS(fstat(left, &one));
  CHECK_SYS(fstat(right, &other));
  return one.st_ino == other.st_ino;
}

static int ended_child(int status, int* twin) {
  pid_t child = (pid_t)CHECK_SYS(fork());
  if (child == 0) _exit(status);
  int fd = (int)CHECK_SYS(syscall(SYS_pidfd_open, child, 0));
  if (twin != NULL) *twin = (int)CHECK_SYS(syscall(SYS_pidfd_open, child, 0));
  CHECK_EQ(waitpid(child, NULL, 0), child);
  return fd;
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
  int twin, ended = ended_child(3, &twin), other = ended_child(4, NULL);
  pid_t waiting = (pid_t)CHECK_SYS(fork());
  if (waiting == 0) _exit(5);
  int not_waited_for = (int)CHECK_SYS(syscall(SYS_pidfd_open, waiting, 0));
  siginfo_t info;
  CHECK_SYS(waitid(P_PID, (id_t)waiting, &info, WEXITED | WNOWAIT));
  int inodes_tell = !same_inode(ended, other);
  int copy = (int)CHECK_SYS(dup(ended));
  signal(SIGUSR1, handler);
  check_ready();
  check_wait();
  CHECK(!is_over(self));
  CHECK_EQ(fcntl(relaxed, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  CHECK_EQ(fcntl(self, F_GETFL) & O_NONBLOCK, 0);
  CHECK_SYS(syscall(SYS_pidfd_send_signal, self, SIGUSR1, NULL, 0));
  CHECK_EQ(taken, SIGUSR1);
  CHECK(is_over(ended) && is_over(copy) && is_over(twin) && is_over(other));
  CHECK(same_inode(ended, twin));
  CHECK_EQ(!same_inode(ended, other), inodes_tell);
  CHECK_ERRNO(syscall(SYS_pidfd_send_signal, ended, 0, NULL, 0), ESRCH);
  CHECK(is_over(not_waited_for));
  CHECK_SYS(waitid(P_PIDFD, (id_t)not_waited_for, &info, WEXITED));
  CHECK_EQ(info.si_pid, waiting);
  CHECK_EQ(info.si_status, 5);
  CHECK_ERRNO(waitid(P_PIDFD, (id_t)ended, &info, WEXITED), ECHILD);
  check_pass();
}
