// What was typed into a pseudo terminal and not read yet: whole lines and half a line, with keys
// that stand for themselves, raw bytes, output that waits besides, and ends that were closed.
// flavours: all
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "check.h"

typedef struct {
  int master, slave;
} terminal;

static terminal make(int raw) {
  terminal made;
  char name[64];
  made.master = (int)CHECK_SYS(posix_openpt(O_RDWR | O_NOCTTY));
  CHECK_SYS(unlockpt(made.master));
  CHECK_OK(ptsname_r(made.master, name, sizeof name));
  made.slave = (int)CHECK_SYS(open(name, O_RDWR | O_NOCTTY));
  struct termios modes;
  CHECK_SYS(tcgetattr(made.slave, &modes));
  modes.c_lflag &= ~(tcflag_t)ECHO;
  if (raw) cfmakeraw(&modes);
  CHECK_SYS(tcsetattr(made.slave, TCSANOW, &modes));
  return made;
}

static void type(terminal at, const char* text) {
  CHECK_EQ(write(at.master, text, strlen(text)), (ssize_t)strlen(text));
}

static void expect(int fd, const char* text) {
  char got[64] = {0};
  CHECK_EQ(read(fd, got, sizeof got - 1), (ssize_t)strlen(text));
  CHECK_STR(got, text);
}

int main(void) {
  char byte;
  const terminal lines = make(0), raw = make(1), no_slave = make(0), no_master = make(0);
  type(lines, "one\rtwo\026\003\nhal");
  CHECK_EQ(write(lines.slave, "out\n", 4), 4);
  type(raw, "\001\r\n\003\177x");
  for (int there = 0; there < 6;) CHECK_SYS(ioctl(raw.slave, FIONREAD, &there));
  CHECK_EQ(write(no_slave.slave, "last", 4), 4);
  CHECK_SYS(close(no_slave.slave));
  CHECK_SYS(close(no_master.master));
  for (int there = 0; there < 9;) CHECK_SYS(ioctl(lines.slave, FIONREAD, &there));
  check_ready();
  check_wait();
  expect(lines.slave, "one\n");
  expect(lines.slave, "two\003\n");
  type(lines, "f\n");
  expect(lines.slave, "half\n");
  expect(lines.master, "out\r\n");
  expect(raw.slave, "\001\r\n\003\177x");
  expect(no_slave.master, "last");
  CHECK_ERRNO(read(no_slave.master, &byte, 1), EIO);
  CHECK_EQ(read(no_master.slave, &byte, 1), 0);
  CHECK_ERRNO(write(no_master.slave, &byte, 1), EIO);
  check_pass();
}
