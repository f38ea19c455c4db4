// UDP sockets inside the process, bound, connected and plain, with datagrams waiting: each keeps
// its length, its bytes and its sender.
//
// flavours: all
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const size_t sizes[] = {0, 1, 1400, 30000};
  static char data[32768];
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
                     sender, from;
  socklen_t length = sizeof name;
  int receiver = (int)CHECK_SYS(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
  int connected = (int)CHECK_SYS(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
  CHECK_SYS(bind(receiver, (struct sockaddr*)&name, sizeof name));
  CHECK_SYS(getsockname(receiver, (struct sockaddr*)&name, &length));
  CHECK_SYS(connect(connected, (struct sockaddr*)&name, sizeof name));
  CHECK_SYS(getsockname(connected, (struct sockaddr*)&sender, &length));
  for (int i = 0; i < 4; ++i) {
    check_fill(data, sizes[i], (uint64_t)(130 + i));
    CHECK_EQ(send(connected, data, sizes[i], 0), sizes[i]);
  }
  check_ready();
  check_wait();
  for (int i = 0; i < 4; ++i) {
    length = sizeof from;
    CHECK_EQ(recvfrom(receiver, data, sizeof data, 0, (struct sockaddr*)&from, &length), sizes[i]);
    CHECK_BYTES(data, sizes[i], (uint64_t)(130 + i));
    CHECK_EQ(from.sin_port, sender.sin_port);
    CHECK_EQ(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
  }
  CHECK_ERRNO(recv(receiver, data, 1, 0), EAGAIN);
  CHECK_EQ(sendto(receiver, "reply", 5, 0, (struct sockaddr*)&sender, sizeof sender), 5);
  CHECK_EQ(recv(connected, data, 100, 0), 5);
  CHECK_EQ(send(connected, "still", 5, 0), 5);
  CHECK_EQ(recv(receiver, data, 100, 0), 5);
  check_pass();
}
