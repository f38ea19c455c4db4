// Halves that were shut down stay so, in each direction, with data before the end still readable.
//
// flavours: all
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  int write_shut[2], read_shut[2], both_shut[2];
  char bytes[16];
  signal(SIGPIPE, SIG_IGN);
  CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, write_shut));
  CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, read_shut));
  CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, both_shut));
  CHECK_EQ(write(write_shut[0], "last", 4), 4);
  CHECK_SYS(shutdown(write_shut[0], SHUT_WR));
  CHECK_SYS(shutdown(read_shut[0], SHUT_RD));
  CHECK_SYS(shutdown(both_shut[0], SHUT_RDWR));
  check_ready();
  check_wait();
  CHECK_ERRNO(write(write_shut[0], "x", 1), EPIPE);
  CHECK_EQ(read(write_shut[1], bytes, 16), 4);
  CHECK_EQ(read(write_shut[1], bytes, 16), 0);
  CHECK_EQ(write(write_shut[1], "reply", 5), 5);
  CHECK_EQ(read(write_shut[0], bytes, 16), 5);
  CHECK_EQ(read(read_shut[0], bytes, 16), 0);
  CHECK_ERRNO(write(read_shut[1], "x", 1), EPIPE);
  CHECK_EQ(write(read_shut[0], "ok", 2), 2);
  CHECK_EQ(read(read_shut[1], bytes, 16), 2);
  CHECK_EQ(read(both_shut[0], bytes, 16), 0);
  CHECK_EQ(read(both_shut[1], bytes, 16), 0);
  CHECK_ERRNO(write(both_shut[1], "x", 1), EPIPE);
  struct pollfd polled = {both_shut[0], POLLIN, 0};
  CHECK_EQ(poll(&polled, 1, 0), 1);
  CHECK_EQ(polled.revents, POLLIN | POLLHUP);
  check_pass();
}
