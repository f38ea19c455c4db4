// Connections that nobody has accepted, IPv4 and IPv6, with and without data, one of them finished
// by its client: they are accepted afterwards in their order, with their data and names.
//
// flavours: all
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

enum { kWaiting = 4 };

struct place {
  int listener, client[kWaiting];
  struct sockaddr_in6 name, from[kWaiting];
  socklen_t length;
};

static const char* const said[kWaiting] = {"", "early", "the end", "gone"};

static int set_up(struct place* p, int family) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  p->length = family == AF_INET ? sizeof v4 : sizeof v6;
  memcpy(&p->name, family == AF_INET ? (void*)&v4 : (void*)&v6, p->length);
  p->listener = (int)CHECK_SYS(socket(family, SOCK_STREAM, 0));
  if (bind(p->listener, (struct sockaddr*)&p->name, p->length) != 0) return 0;
  CHECK_SYS(listen(p->listener, 8));
  CHECK_SYS(getsockname(p->listener, (struct sockaddr*)&p->name, &p->length));
  for (int i = 0; i < kWaiting; ++i) {
    p->client[i] = (int)CHECK_SYS(socket(family, SOCK_STREAM, 0));
    CHECK_SYS(connect(p->client[i], (struct sockaddr*)&p->name, p->length));
    socklen_t length = sizeof p->from[i];
    CHECK_SYS(getsockname(p->client[i], (struct sockaddr*)&p->from[i], &length));
    CHECK_EQ(write(p->client[i], said[i], strlen(said[i])), (long)strlen(said[i]));
  }
  CHECK_SYS(shutdown(p->client[2], SHUT_WR));
  CHECK_SYS(close(p->client[3]));
  return 1;
}

static void verify(struct place* p) {
  struct pollfd ready = {p->listener, POLLIN, 0};
  for (int i = 0; i < kWaiting; ++i) {
    struct sockaddr_in6 from;
    socklen_t length = sizeof from;
    char text[32] = "";
    CHECK_EQ(poll(&ready, 1, 0), 1);
    int server = (int)CHECK_SYS(accept(p->listener, (struct sockaddr*)&from, &length));
    CHECK_EQ(length, p->length);
    CHECK_EQ(memcmp(&from, &p->from[i], length), 0);
    if (i > 0) CHECK_EQ(read(server, text, sizeof text), (long)strlen(said[i]));
    CHECK_STR(text, said[i]);
    if (i >= 2) {
      CHECK_EQ(read(server, text, sizeof text), 0);
    } else {
      CHECK_ERRNO(recv(server, text, 1, MSG_DONTWAIT), EAGAIN);
    }
    if (i == 3) continue;
    CHECK_EQ(write(server, "hello", 5), 5);
    CHECK_EQ(read(p->client[i], text, sizeof text), 5);
  }
  CHECK_EQ(poll(&ready, 1, 0), 0);
}

int main(void) {
  struct place v4, v6;
  CHECK(set_up(&v4, AF_INET));
  int have_v6 = set_up(&v6, AF_INET6);
  check_ready();
  check_wait();
  verify(&v4);
  if (have_v6) verify(&v6);
  check_pass();
}
