// A pseudo terminal with both ends in the program keeps its name, modes, size and unread output,
// and is a terminal afterwards: echo, lines, end of file.
//
// flavours: all
// not: busy because a checkpoint between what is typed and its reading is refused
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "check.h"

static int open_pair(int* slave) {
  int master = (int)CHECK_SYS(posix_openpt(O_RDWR | O_NOCTTY));
  CHECK_SYS(grantpt(master));
  CHECK_SYS(unlockpt(master));
  *slave = (int)CHECK_SYS(open(ptsname(master), O_RDWR | O_NOCTTY));
  return master;
}

int main(void) {
  char name[64], text[64];
  struct termios modes, raw, now;
  struct winsize size = {33, 77, 5, 6}, got;
  int slave, raw_slave;
  int master = open_pair(&slave), raw_master = open_pair(&raw_slave);
  int second = (int)CHECK_SYS(open(ptsname(master), O_RDONLY | O_NOCTTY | O_NONBLOCK));
  snprintf(name, sizeof name, "%s", ptsname(master));
  CHECK_SYS(ioctl(master, TIOCSWINSZ, &size));
  CHECK_SYS(tcgetattr(slave, &modes));
  modes.c_cc[VINTR] = 7;
  CHECK_SYS(tcsetattr(slave, TCSANOW, &modes));
  CHECK_SYS(tcgetattr(raw_slave, &raw));
  cfmakeraw(&raw);
  CHECK_SYS(tcsetattr(raw_slave, TCSANOW, &raw));
  CHECK_EQ(write(slave, "one\ntwo\n", 8), 8);  // one\r\ntwo\r\n by then
  check_ready();
  check_wait();
  CHECK_STR(ptsname(master), name);
  CHECK_EQ(isatty(slave), 1);
  CHECK_SYS(ioctl(slave, TIOCGWINSZ, &got));
  CHECK_EQ(memcmp(&got, &size, sizeof got), 0);
  CHECK_SYS(tcgetattr(slave, &now));
  CHECK_EQ(memcmp(now.c_cc, modes.c_cc, sizeof modes.c_cc), 0);
  CHECK_EQ(now.c_lflag, modes.c_lflag);
  CHECK_EQ(now.c_oflag, modes.c_oflag);
  CHECK_SYS(tcgetattr(raw_slave, &now));
  CHECK_EQ(now.c_lflag, raw.c_lflag);
  CHECK_EQ(now.c_oflag, raw.c_oflag);
  CHECK_EQ(read(master, text, sizeof text), 10);
  CHECK_EQ(memcmp(text, "one\r\ntwo\r\n", 10), 0);
  CHECK_EQ(write(master, "line\npart", 9), 9);
  CHECK_EQ(read(slave, text, sizeof text), 5);
  CHECK_EQ(memcmp(text, "line\n", 5), 0);
  CHECK_ERRNO(read(second, text, 1), EAGAIN);  // the line is not complete
  CHECK_EQ(write(master, "\4", 1), 1);
  CHECK_EQ(read(second, text, sizeof text), 4);
  CHECK_EQ(read(master, text, sizeof text), 10);  // the echo
  CHECK_EQ(write(raw_master, "\n", 1), 1);
  CHECK_EQ(read(raw_slave, text, sizeof text), 1);
  CHECK_EQ(text[0], '\n');
  CHECK_SYS(close(slave));
  CHECK_SYS(close(second));
  CHECK_ERRNO(read(master, text, 1), EIO);
  check_pass();
}
