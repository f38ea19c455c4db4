// Locks of two processes on one file: POSIX locks of each, a flock that both share, an open file
// lock.
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
#include <fcntl.h>
#include <sys/file.h>

#include "child.h"

static int g_file, g_flocked;

static void lock(int fd, int command, int type, off_t start, off_t length) {
  struct flock range = {.l_type = (short)type, .l_start = start, .l_len = length};
  CHECK_SYS(fcntl(fd, command, &range));
}

static pid_t holder(off_t start) {
  struct flock range = {.l_type = F_WRLCK, .l_start = start, .l_len = 1};
  CHECK_SYS(fcntl(g_file, F_GETLK, &range));
  return range.l_type == F_UNLCK ? 0 : range.l_pid;
}

static void child_part(void) {
  CHECK_EQ(holder(0), getppid());
  CHECK_EQ(holder(30), 0);
  CHECK_SYS(flock(g_flocked, LOCK_UN));  // for both
}

int main(void) {
  g_file = (int)CHECK_SYS(open(check_path("locked"), O_RDWR | O_CREAT, 0600));
  g_flocked = (int)CHECK_SYS(open(check_path("flocked"), O_RDWR | O_CREAT, 0600));
  CHECK_SYS(flock(g_flocked, LOCK_EX));
  int order[2], done[2];
  CHECK_SYS(pipe(order));
  CHECK_SYS(pipe(done));
  lock(g_file, F_SETLK, F_WRLCK, 0, 10);
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) {
    char byte;
    CHECK_SYS(close(order[1]));
    lock(g_file, F_SETLK, F_RDLCK, 10, 10);
    lock(g_file, F_SETLK, F_WRLCK, 100, 0);
    CHECK_EQ(write(done[1], "l", 1), 1);
    CHECK_EQ(read(order[0], &byte, 1), 1);
    child_part();
    CHECK_EQ(write(done[1], "u", 1), 1);
    CHECK_EQ(read(order[0], &byte, 1), 0);
    _exit(0);
  }
  char byte;
  CHECK_EQ(read(done[0], &byte, 1), 1);
  const int other = (int)CHECK_SYS(open(check_path("flocked"), O_RDWR));
  check_ready();
  check_wait();
  CHECK_EQ(holder(10), pid);
  CHECK_EQ(holder(19), pid);
  CHECK_EQ(holder(20), 0);
  CHECK_EQ(holder(1000000), pid);
  CHECK_ERRNO(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK);
  CHECK_EQ(write(order[1], "g", 1), 1);
  CHECK_EQ(read(done[0], &byte, 1), 1);
  CHECK_SYS(flock(other, LOCK_EX | LOCK_NB));
  CHECK_SYS(close(order[1]));
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  CHECK_EQ(holder(10), 0);
  check_pass();
}
