// Urgent data of TCP: out of line before and behind the mark, inline, and received ahead of the
// rest.
//
// flavours: all
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

static void connection(int* client, int* server) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof at;
  int listener = (int)CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
  CHECK_SYS(bind(listener, (struct sockaddr*)&at, sizeof at));
  CHECK_SYS(listen(listener, 2));
  CHECK_SYS(getsockname(listener, (struct sockaddr*)&at, &length));
  *client = (int)CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
  CHECK_SYS(connect(*client, (struct sockaddr*)&at, length));
  *server = (int)CHECK_SYS(accept(listener, NULL, NULL));
  CHECK_SYS(close(listener));
}

int main(void) {
  int client, server, inline_client, inline_server, ahead_client, ahead_server, on = 1,
                                                                                at_mark = -1;
  char text[32] = "";
  connection(&client, &server);
  connection(&inline_client, &inline_server);
  connection(&ahead_client, &ahead_server);
  CHECK_SYS(setsockopt(inline_server, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
  const int senders[] = {client, inline_client, ahead_client};
  for (int i = 0; i < 3; ++i) {
    int from = senders[i];
    CHECK_EQ(send(from, "abc", 3, 0), 3);
    CHECK_EQ(send(from, "!", 1, MSG_OOB), 1);
    CHECK_EQ(send(from, "def", 3, 0), 3);
  }
  struct pollfd urgent = {server, POLLPRI, 0};
  CHECK_EQ(poll(&urgent, 1, -1), 1);
  struct pollfd ahead = {ahead_server, POLLPRI, 0};
  CHECK_EQ(poll(&ahead, 1, -1), 1);
  CHECK_EQ(recv(ahead_server, text, 1, MSG_OOB), 1);
  CHECK_EQ(text[0], '!');
  check_ready();
  check_wait();
  urgent.revents = 0;
  CHECK_EQ(poll(&urgent, 1, 0), 1);
  CHECK_EQ(urgent.revents, POLLPRI);
  CHECK_EQ(recv(server, text, 1, MSG_OOB), 1);
  CHECK_EQ(text[0], '!');
  CHECK_SYS(ioctl(server, SIOCATMARK, &at_mark));
  CHECK_EQ(at_mark, 0);
  CHECK_EQ(recv(server, text, sizeof text, 0), 3);  // it stops at the mark
  CHECK_EQ(memcmp(text, "abc", 3), 0);
  CHECK_SYS(ioctl(server, SIOCATMARK, &at_mark));
  CHECK_EQ(at_mark, 1);
  CHECK_EQ(recv(server, text, sizeof text, 0), 3);
  CHECK_EQ(memcmp(text, "def", 3), 0);
  CHECK_EQ(recv(inline_server, text, sizeof text, 0), 3);
  CHECK_EQ(recv(inline_server, text, sizeof text, 0), 4);
  CHECK_EQ(memcmp(text, "!def", 4), 0);
  CHECK_EQ(poll(&ahead, 1, 0), 0);
  CHECK_ERRNO(recv(ahead_server, text, 1, MSG_OOB), EINVAL);
  CHECK_EQ(recv(ahead_server, text, sizeof text, 0), 3);
  CHECK_EQ(recv(ahead_server, text, sizeof text, 0), 3);
  CHECK_EQ(memcmp(text, "def", 3), 0);
  check_pass();
}
