// A daemon by double fork, in a session whose leader has ended: it keeps its numbers, is nobody's
// child of this job, and answers. Its own child is in its session, too.
// flavours: all

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/check.h"

struct Report {
  pid_t pid, parent, group, session, child;
};

static struct Report look(pid_t child) {
  struct Report report = {getpid(), getppid(), getpgrp(), getsid(0), child};
  return report;
}

static void serve(int from, int to) {
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) _exit(1);
  const pid_t child = fork();
  if (child == 0) {
    char byte;
    close(pipe_ends[1]);
    const pid_t session = getsid(0), parent = getppid();
    _exit(read(pipe_ends[0], &byte, 1) == 0 && getsid(0) == session && getppid() == parent ? 21
                                                                                           : 22);
  }
  close(pipe_ends[0]);
  for (char byte; read(from, &byte, 1) == 1;) {
    int status = 0;
    if (byte == 'e') {
      close(pipe_ends[1]);
      if (waitpid(child, &status, 0) != child) status = -1;
    }
    struct Report report = look(byte == 'e' ? status : child);
    if (write(to, &report, sizeof report) != sizeof report) _exit(1);
  }
  _exit(0);
}

static struct Report ask(int to, int from, char what) {
  struct Report report;
  CHECK_EQ(write(to, &what, 1), 1);
  CHECK_EQ(read(from, &report, sizeof report), sizeof report);
  return report;
}

int main(void) {
  int to[2], from[2];
  CHECK_SYS(pipe(to));
  CHECK_SYS(pipe(from));
  const pid_t first = CHECK_SYS(fork());
  if (first == 0) {
    setsid();
    close(to[1]);
    close(from[0]);
    if (fork() == 0) serve(to[0], from[1]);
    _exit(0);
  }
  close(to[0]);
  close(from[1]);
  CHECK_EQ(waitpid(first, NULL, 0), first);
  const struct Report before = ask(to[1], from[0], '?');
  CHECK_EQ(before.session, first);
  CHECK_EQ(before.group, first);

  check_ready();
  check_wait();

  const struct Report after = ask(to[1], from[0], '?');
  CHECK_EQ(after.pid, before.pid);
  CHECK_EQ(after.parent, before.parent);
  CHECK_EQ(after.group, first);
  CHECK_EQ(after.session, first);
  CHECK_EQ(after.child, before.child);
  CHECK_EQ(getpgid(before.pid), first);
  CHECK_EQ(getsid(before.child), first);
  CHECK_ERRNO(waitpid(before.pid, NULL, WNOHANG), ECHILD);
  CHECK_SYS(kill(before.pid, 0));
  CHECK_EQ(ask(to[1], from[0], 'e').child, 21 << 8);
  check_pass();
}
