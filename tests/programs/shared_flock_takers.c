// /proc/self/fdinfo names whoever has taken a flock: the process itself, or its parent.
//
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
#include <fcntl.h>
#include <sys/file.h>

#include "child.h"

static int g_own, g_childs;

// The pid in "lock:\t1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF"
static pid_t taker(int fd) {
  char path[32], manner[16], type[16];
  int pid = 0;
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  CHECK_EQ(sscanf(check_proc_field(path, "lock:"), "%*d: FLOCK %15s %15s %d", manner, type, &pid), 3);
  CHECK_STR(manner, "ADVISORY");
  CHECK_STR(type, fd == g_own ? "READ" : "WRITE");
  return pid;
}

static void child_part(void) {
  CHECK_EQ(taker(g_own), getppid());
  CHECK_EQ(taker(g_childs), getpid());
}

int main(void) {
  g_own = (int)CHECK_SYS(open(check_path("own"), O_RDWR | O_CREAT, 0600));
  g_childs = (int)CHECK_SYS(open(check_path("childs"), O_RDWR | O_CREAT, 0600));
  CHECK_SYS(flock(g_own, LOCK_SH));
  int order[2], done[2];
  char byte;
  CHECK_SYS(pipe(order));
  CHECK_SYS(pipe(done));
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) {
    CHECK_SYS(close(order[1]));
    CHECK_SYS(flock(g_childs, LOCK_EX));
    CHECK_EQ(write(done[1], "l", 1), 1);
    CHECK_EQ(read(order[0], &byte, 1), 0);
    child_part();
    _exit(0);
  }
  CHECK_EQ(read(done[0], &byte, 1), 1);
  check_ready();
  check_wait();
  CHECK_EQ(taker(g_own), getpid());
  CHECK_EQ(taker(g_childs), pid);
  CHECK_SYS(close(order[1]));
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  check_pass();
}
