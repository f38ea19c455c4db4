// A stream socketpair keeps bytes in flight in both directions, peeked ones included.
//
// flavours: all
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  enum { kBytes = 50000 };
  static char data[kBytes];
  int pair[2], waiting;
  CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  check_fill(data, kBytes, 100);
  CHECK_EQ(write(pair[0], data, kBytes), kBytes);
  CHECK_EQ(write(pair[1], "back", 4), 4);
  CHECK_EQ(recv(pair[1], data, 100, 0), 100);  // the first skb is partly read
  CHECK_EQ(recv(pair[1], data, 50, MSG_PEEK), 50);
  check_ready();
  check_wait();
  static char want[kBytes];
  check_fill(want, kBytes, 100);
  CHECK_SYS(ioctl(pair[1], FIONREAD, &waiting));
  CHECK_EQ(waiting, kBytes - 100);
  CHECK_EQ(recv(pair[1], data, kBytes - 100, MSG_WAITALL), kBytes - 100);
  CHECK(memcmp(data, want + 100, kBytes - 100) == 0);
  CHECK_ERRNO(recv(pair[1], data, 1, MSG_DONTWAIT), EAGAIN);
  CHECK_EQ(recv(pair[0], data, 10, MSG_DONTWAIT), 4);
  CHECK(memcmp(data, "back", 4) == 0);
  CHECK_EQ(write(pair[1], "x", 1), 1);
  CHECK_EQ(read(pair[0], data, 10), 1);
  close(pair[0]);
  CHECK_EQ(read(pair[1], data, 1), 0);
  check_pass();
}
