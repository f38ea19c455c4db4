// UDP in its states: empty datagrams and large ones in the queue with their senders, IPv6, a mapped
// address, shut down, connected away again, an error not yet read, UDP-Lite.
//
// flavours: all
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

enum { kLarge = 60000 };

static int bound(int family, int protocol, struct sockaddr_in6* name, socklen_t* length) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int fd = socket(family, SOCK_DGRAM, protocol);
  if (fd < 0) return -1;
  void* any = family == AF_INET ? (void*)&v4 : (void*)&v6;
  if (bind(fd, any, family == AF_INET ? sizeof v4 : sizeof v6) != 0) return -1;
  *length = sizeof *name;
  CHECK_SYS(getsockname(fd, (struct sockaddr*)name, length));
  return fd;
}

struct pair {
  int receiver, sender;
  struct sockaddr_in6 to, from;
  socklen_t to_length, from_length;
};

static char large[kLarge];

static int set_up(struct pair* p, int family, int protocol) {
  p->receiver = bound(family, protocol, &p->to, &p->to_length);
  if (p->receiver < 0) return 0;
  p->sender = bound(family, protocol, &p->from, &p->from_length);
  const struct sockaddr* to = (void*)&p->to;
  CHECK_EQ(sendto(p->sender, NULL, 0, 0, to, p->to_length), 0);
  CHECK_EQ(sendto(p->sender, "one", 3, 0, to, p->to_length), 3);
  CHECK_EQ(sendto(p->sender, large, kLarge, 0, to, p->to_length), kLarge);
  CHECK_EQ(sendto(p->sender, NULL, 0, 0, to, p->to_length), 0);
  return 1;
}

static void verify(struct pair* p) {
  static char got[kLarge + 10];
  const long sizes[] = {0, 3, kLarge, 0};
  struct sockaddr_in6 from;
  for (int i = 0; i < 4; ++i) {
    int next = -1;
    socklen_t length = sizeof from;
    CHECK_SYS(ioctl(p->receiver, FIONREAD, &next));
    CHECK_EQ(next, sizes[i]);
    CHECK_EQ(recvfrom(p->receiver, got, sizeof got, 0, (struct sockaddr*)&from, &length), sizes[i]);
    CHECK_EQ(length, p->from_length);
    CHECK_EQ(memcmp(&from, &p->from, length), 0);
    if (i == 2) CHECK_BYTES(got, kLarge, 5);
  }
  CHECK_ERRNO(recv(p->receiver, got, 1, MSG_DONTWAIT), EAGAIN);
  CHECK_EQ(sendto(p->sender, "on", 2, 0, (struct sockaddr*)&p->to, p->to_length), 2);
  CHECK_EQ(recv(p->receiver, got, 1, MSG_TRUNC), 2);
}

int main(void) {
  struct pair v4, v6, lite;
  check_fill(large, kLarge, 5);
  CHECK(set_up(&v4, AF_INET, 0));
  int have_v6 = set_up(&v6, AF_INET6, 0), have_lite = set_up(&lite, AF_INET, IPPROTO_UDPLITE);
  struct sockaddr_in6 name, now;
  socklen_t length, now_length;
  char text[8];
  int shut = bound(AF_INET, 0, &name, &length);
  CHECK_SYS(connect(shut, (struct sockaddr*)&v4.from, v4.from_length));
  CHECK_SYS(shutdown(shut, SHUT_RDWR));
  int away = bound(AF_INET, 0, &name, &length);
  CHECK_SYS(connect(away, (struct sockaddr*)&v4.from, v4.from_length));
  const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
  CHECK_SYS(connect(away, &nowhere, sizeof nowhere));
  int mapped = (int)CHECK_SYS(socket(AF_INET6, SOCK_DGRAM, 0));
  struct sockaddr_in6 to = {.sin6_family = AF_INET6};
  to.sin6_port = ((struct sockaddr_in*)&v4.to)->sin_port;
  inet_pton(AF_INET6, "::ffff:127.0.0.1", &to.sin6_addr);
  CHECK_SYS(connect(mapped, (struct sockaddr*)&to, sizeof to));
  struct sockaddr_in6 mapped_name;
  length = sizeof mapped_name;
  CHECK_SYS(getsockname(mapped, (struct sockaddr*)&mapped_name, &length));
  struct sockaddr_in closed_name;
  int closed = bound(AF_INET, 0, (struct sockaddr_in6*)&name, &length);
  memcpy(&closed_name, &name, sizeof closed_name);
  int refused = (int)CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));
  CHECK_SYS(connect(refused, (struct sockaddr*)&closed_name, sizeof closed_name));
  CHECK_SYS(close(closed));
  CHECK_EQ(send(refused, "?", 1, 0), 1);
  check_ready();
  check_wait();
  verify(&v4);
  if (have_v6) verify(&v6);
  if (have_lite) verify(&lite);
  CHECK_EQ(recv(shut, text, 1, 0), 0);
  CHECK_ERRNO(send(shut, "x", 1, MSG_NOSIGNAL), EPIPE);
  now_length = sizeof now;
  CHECK_ERRNO(getpeername(away, (struct sockaddr*)&now, &now_length), ENOTCONN);
  now_length = sizeof now;
  CHECK_SYS(getsockname(mapped, (struct sockaddr*)&now, &now_length));
  CHECK_EQ(memcmp(&now, &mapped_name, sizeof now), 0);
  CHECK_EQ(send(mapped, "six", 3, 0), 3);
  CHECK_EQ(recv(v4.receiver, text, sizeof text, 0), 3);
  CHECK_ERRNO(recv(refused, text, 1, MSG_DONTWAIT), ECONNREFUSED);
  check_pass();
}
