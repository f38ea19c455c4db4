// Datagram and seqpacket pairs keep the borders of what is in flight, empty datagrams included.
//
// flavours: all
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET};
  const size_t sizes[] = {1, 0, 5000, 3};
  static char data[8192], want[8192];
  int pairs[2][2];
  for (int t = 0; t < 2; ++t) {
    CHECK_SYS(socketpair(AF_UNIX, types[t] | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pairs[t]));
    for (int i = 0; i < 4; ++i) {
      check_fill(data, sizes[i], (uint64_t)(110 + i));
      CHECK_EQ(send(pairs[t][0], data, sizes[i], 0), sizes[i]);
    }
  }
  check_ready();
  check_wait();
  for (int t = 0; t < 2; ++t) {
    int type;
    socklen_t length = sizeof type;
    CHECK_SYS(getsockopt(pairs[t][0], SOL_SOCKET, SO_TYPE, &type, &length));
    CHECK_EQ(type, types[t]);
    for (int i = 0; i < 4; ++i) {
      CHECK_EQ(recv(pairs[t][1], data, i == 3 ? 2 : sizeof data, MSG_TRUNC), sizes[i]);
      check_fill(want, sizes[i], (uint64_t)(110 + i));
      if (i == 3)
        CHECK(memcmp(data, want, 2) == 0);  // cut off, but with its true length reported
      else
        CHECK(memcmp(data, want, sizes[i]) == 0);
    }
    CHECK_ERRNO(recv(pairs[t][1], data, 1, 0), EAGAIN);
    CHECK_EQ(send(pairs[t][1], "again", 5, 0), 5);
    CHECK_EQ(recv(pairs[t][0], data, 100, 0), 5);
  }
  check_pass();
}
