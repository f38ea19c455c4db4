// TCP over the loopback inside the process, IPv4 and IPv6: an established connection with data in
// flight both ways, one half closed, a listening socket that still accepts.
//
// flavours: all
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

enum { kBytes = 40000 };

struct link {
  int listening, client, server, half_client, half_server;
  struct sockaddr_in6 listen_name, client_name;
  socklen_t length;
};

static void connect_pair(struct link* link, int family, int* client, int* server) {
  *client = (int)CHECK_SYS(socket(family, SOCK_STREAM, 0));
  CHECK_SYS(connect(*client, (struct sockaddr*)&link->listen_name, link->length));
  *server = (int)CHECK_SYS(accept(link->listening, NULL, NULL));
}

static int set_up(struct link* link, int family) {
  static char data[kBytes];
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  link->length = family == AF_INET ? sizeof v4 : sizeof v6;
  memcpy(&link->listen_name, family == AF_INET ? (void*)&v4 : (void*)&v6, link->length);
  link->listening = (int)CHECK_SYS(socket(family, SOCK_STREAM, 0));
  if (bind(link->listening, (struct sockaddr*)&link->listen_name, link->length) != 0) return 0;
  CHECK_SYS(listen(link->listening, 5));
  CHECK_SYS(getsockname(link->listening, (struct sockaddr*)&link->listen_name, &link->length));
  connect_pair(link, family, &link->client, &link->server);
  connect_pair(link, family, &link->half_client, &link->half_server);
  CHECK_SYS(getsockname(link->client, (struct sockaddr*)&link->client_name, &link->length));
  check_fill(data, kBytes, 120);
  CHECK_EQ(write(link->client, data, kBytes), kBytes);
  CHECK_EQ(write(link->server, "back", 4), 4);
  CHECK_EQ(write(link->half_client, "the end", 7), 7);
  CHECK_SYS(shutdown(link->half_client, SHUT_WR));
  return 1;
}

static void verify(struct link* link, int family) {
  static char data[kBytes];
  struct sockaddr_in6 name = {0};
  socklen_t length = sizeof name;
  CHECK_SYS(getpeername(link->server, (struct sockaddr*)&name, &length));
  CHECK_EQ(length, link->length);
  CHECK(memcmp(&name, &link->client_name, length) == 0);
  CHECK_EQ(recv(link->server, data, kBytes, MSG_WAITALL), kBytes);
  CHECK_BYTES(data, kBytes, 120);
  CHECK_ERRNO(recv(link->server, data, 1, MSG_DONTWAIT), EAGAIN);
  CHECK_EQ(recv(link->client, data, 4, MSG_WAITALL), 4);
  CHECK(memcmp(data, "back", 4) == 0);
  CHECK_EQ(recv(link->half_server, data, 100, MSG_WAITALL), 7);
  CHECK_EQ(recv(link->half_server, data, 100, 0), 0);
  CHECK_EQ(write(link->half_server, "answer", 6), 6);
  CHECK_EQ(recv(link->half_client, data, 6, MSG_WAITALL), 6);
  int client, server;
  connect_pair(link, family, &client, &server);
  CHECK_EQ(write(client, "new", 3), 3);
  CHECK_EQ(recv(server, data, 3, MSG_WAITALL), 3);
  close(link->client);
  CHECK_EQ(recv(link->server, data, 1, 0), 0);
}

int main(void) {
  struct link v4, v6;
  CHECK(set_up(&v4, AF_INET));
  int have_v6 = set_up(&v6, AF_INET6);
  check_ready();
  check_wait();
  verify(&v4, AF_INET);
  if (have_v6) verify(&v6, AF_INET6);
  check_pass();
}
