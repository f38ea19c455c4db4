// A pseudo terminal: its master in the parent, its slave the controlling terminal of a child that
// leads a session of its own; input that was typed and not read yet, output that was not read yet,
// the foreground group, and the line discipline go on.
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "child.h"
#include "terminal.h"

static volatile sig_atomic_t g_interrupted;
static void note(int signal) {
  (void)signal, g_interrupted = 1;
}

static void session_leader(const char* name) {
  CHECK_SYS(setsid());
  const int slave = (int)CHECK_SYS(open(name, O_RDWR));
  struct termios modes;
  CHECK_SYS(tcgetattr(slave, &modes));
  modes.c_lflag &= ~(tcflag_t)ECHO;
  CHECK_SYS(tcsetattr(slave, TCSANOW, &modes));
  const struct sigaction action = {.sa_handler = note};
  CHECK_SYS(sigaction(SIGINT, &action, NULL));
  CHECK_EQ(write(slave, "ready\n", 6), 6);
  char line[64] = {0};
  ssize_t got = 0;
  while (!g_interrupted) {
    got = read(slave, line, sizeof line);
    if (got > 0) {
      CHECK(memcmp(line, "typed\n", 6) == 0);
      CHECK_EQ(write(slave, "seen\n", 5), 5);
    }
  }
  CHECK_EQ(tcgetpgrp(slave), getpid());
  CHECK_EQ(tcgetsid(slave), getpid());
  const int terminal = (int)CHECK_SYS(open("/dev/tty", O_RDWR));
  CHECK_EQ(write(terminal, "bye\n", 4), 4);
  _exit(0);
}

int main(void) {
  char name[64];
  const int master = check_open_master(name, sizeof name);
  const struct winsize size = {33, 77, 0, 0};
  CHECK_SYS(ioctl(master, TIOCSWINSZ, &size));
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
  check_expect(master, "seen\r\n");
  struct winsize now;
  CHECK_SYS(ioctl(master, TIOCGWINSZ, &now));
  CHECK_EQ(now.ws_row, 33);
  CHECK_EQ(now.ws_col, 77);
  CHECK_EQ(write(master, "\003", 1), 1);
  check_expect(master, "bye\r\n");
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  char byte;
  CHECK_ERRNO(read(master, &byte, 1), EIO);
  check_pass();
}
