// A session leader that has /dev/tty open, as shells do: it leads to the same pseudo terminal.
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
// unsteady: fd because /dev/tty comes back by its terminal's own name
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "child.h"
#include "terminal.h"

static void session_leader(const char* name) {
  char line[64] = {0};
  CHECK_SYS(setsid());
  const int slave = (int)CHECK_SYS(open(name, O_RDWR));
  const int terminal = (int)CHECK_SYS(open("/dev/tty", O_RDWR | O_NONBLOCK));
  CHECK_SYS(close(slave));
  CHECK_EQ(write(terminal, "ready\n", 6), 6);
  const int again = (int)CHECK_SYS(dup(terminal));
  struct pollfd entry = {.fd = terminal, .events = POLLIN};
  CHECK_EQ(poll(&entry, 1, -1), 1);
  CHECK_EQ(read(again, line, sizeof line), 6);
  CHECK_STR(line, "typed\n");
  CHECK((fcntl(terminal, F_GETFL) & O_NONBLOCK) != 0);
  CHECK_EQ(isatty(terminal), 1);
  CHECK_EQ(tcgetpgrp(terminal), getpid());
  CHECK_EQ(tcgetsid(again), getpid());
  CHECK_EQ(write(again, "bye\n", 4), 4);
  _exit(0);
}

int main(void) {
  char name[64];
  const int master = check_open_master(name, sizeof name);
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) {
    close(master);
    session_leader(name);
  }
  check_expect(master, "ready\r\n");
  check_until_child_asleep(pid);
  check_ready();
  check_wait();
  CHECK_EQ(write(master, "typed\n", 6), 6);
  check_expect(master, "typed\r\nbye\r\n");
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  check_pass();
}
