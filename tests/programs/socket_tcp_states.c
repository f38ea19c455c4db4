// TCP sockets in the states between nothing and a connection that works: never bound, bound, closed
// by either side with data left, shut on both sides, reset with the error not yet read, connecting.
//
// flavours: all
// not: busy because the connections that it makes over and over take ports that others had
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

static int listener;
static struct sockaddr_in at;

static void connection(int* client, int* server) {
  *client = (int)CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
  CHECK_SYS(connect(*client, (struct sockaddr*)&at, sizeof at));
  *server = (int)CHECK_SYS(accept(listener, NULL, NULL));
}

static int state(int fd) {
  struct tcp_info info;
  socklen_t length = sizeof info;
  CHECK_SYS(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length));
  return info.tcpi_state;
}

static int events(int fd) {
  struct pollfd entry = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
  CHECK_SYS(poll(&entry, 1, 0));
  return entry.revents;
}

static void until_state(int fd, int wanted) {
  while (state(fd) != wanted) usleep(1000);
}

int main(void) {
  enum {
    kFresh,
    kBound,
    kClosedWithData,
    kCloseWait,
    kFinWait2,
    kBothShut,
    kReset,
    kResetRead,
    kRefused,
    kHalfRead,
    kAll
  };
  int fd[kAll], peer[kAll], before_state[kAll], before_events[kAll];
  char text[32];
  socklen_t length = sizeof at;
  at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  listener = (int)CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
  CHECK_SYS(bind(listener, (struct sockaddr*)&at, sizeof at));
  CHECK_SYS(listen(listener, 20));
  CHECK_SYS(getsockname(listener, (struct sockaddr*)&at, &length));
  for (int i = 0; i < kAll; ++i) peer[i] = -1;
  fd[kFresh] = (int)CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
  struct sockaddr_in any = {.sin_family = AF_INET}, bound, now;
  fd[kBound] = (int)CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
  CHECK_SYS(bind(fd[kBound], (struct sockaddr*)&any, sizeof any));
  length = sizeof bound;
  CHECK_SYS(getsockname(fd[kBound], (struct sockaddr*)&bound, &length));
  for (int i = kClosedWithData; i <= kResetRead; ++i) connection(&fd[i], &peer[i]);
  CHECK_EQ(write(peer[kClosedWithData], "left", 4), 4);
  CHECK_SYS(close(peer[kClosedWithData]));
  until_state(fd[kClosedWithData], TCP_CLOSE_WAIT);
  CHECK_SYS(shutdown(peer[kCloseWait], SHUT_WR));
  until_state(fd[kCloseWait], TCP_CLOSE_WAIT);
  CHECK_EQ(write(fd[kFinWait2], "bye", 3), 3);
  CHECK_SYS(shutdown(fd[kFinWait2], SHUT_WR));
  CHECK_EQ(write(peer[kFinWait2], "answer", 6), 6);
  until_state(fd[kFinWait2], TCP_FIN_WAIT2);
  CHECK_EQ(write(peer[kBothShut], "last", 4), 4);
  CHECK_SYS(shutdown(fd[kBothShut], SHUT_WR));
  CHECK_SYS(shutdown(peer[kBothShut], SHUT_WR));
  const struct linger reset = {1, 0};
  for (int i = kReset; i <= kResetRead; ++i) {
    CHECK_SYS(setsockopt(peer[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset));
    CHECK_SYS(close(peer[i]));
    until_state(fd[i], TCP_CLOSE);
  }
  CHECK_ERRNO(read(fd[kResetRead], text, 1), ECONNRESET);
  fd[kRefused] = (int)CHECK_SYS(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  int closed =
      (int)CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));  // bound, so nobody else listens there
  CHECK_SYS(bind(closed, (struct sockaddr*)&any, sizeof any));
  struct sockaddr_in there = at;
  length = sizeof any;
  CHECK_SYS(getsockname(closed, (struct sockaddr*)&any, &length));
  there.sin_port = any.sin_port;
  CHECK_EQ(connect(fd[kRefused], (struct sockaddr*)&there, sizeof there), -1);
  until_state(fd[kRefused], TCP_CLOSE);
  connection(&fd[kHalfRead], &peer[kHalfRead]);
  CHECK_SYS(shutdown(fd[kHalfRead], SHUT_RD));
  for (int i = 0; i < kAll; ++i) before_state[i] = state(fd[i]), before_events[i] = events(fd[i]);
  check_ready();
  check_wait();
  for (int i = 0; i < kAll; ++i)
    if (events(fd[i]) != before_events[i])
      check_fail(__FILE__, __LINE__, "socket %d: events %#x became %#x", i, before_events[i],
                 events(fd[i]));
  until_state(fd[kFinWait2], TCP_FIN_WAIT2);  // the answer to its end may be on the way
  for (int i = 0; i < kAll; ++i)
    if (i != kBothShut && state(fd[i]) != before_state[i])
      check_fail(__FILE__, __LINE__, "socket %d: state %d became %d", i, before_state[i],
                 state(fd[i]));
  length = sizeof now;
  CHECK_SYS(getsockname(fd[kFresh], (struct sockaddr*)&now, &length));
  CHECK_EQ(now.sin_port, 0);
  CHECK_SYS(connect(fd[kFresh], (struct sockaddr*)&at, sizeof at));
  CHECK_SYS(accept(listener, NULL, NULL));
  length = sizeof now;
  CHECK_SYS(getsockname(fd[kBound], (struct sockaddr*)&now, &length));
  CHECK_EQ(now.sin_port, bound.sin_port);
  CHECK_SYS(listen(fd[kBound], 1));
  CHECK_EQ(read(fd[kClosedWithData], text, sizeof text), 4);
  CHECK_EQ(read(fd[kClosedWithData], text, sizeof text), 0);
  CHECK_EQ(read(fd[kCloseWait], text, sizeof text), 0);
  CHECK_EQ(write(fd[kCloseWait], "still", 5), 5);
  CHECK_EQ(read(peer[kCloseWait], text, sizeof text), 5);
  CHECK_EQ(read(peer[kFinWait2], text, sizeof text), 3);
  CHECK_EQ(read(peer[kFinWait2], text, sizeof text), 0);
  CHECK_EQ(read(fd[kFinWait2], text, sizeof text), 6);
  CHECK_EQ(send(fd[kFinWait2], "no", 2, MSG_NOSIGNAL), -1);
  CHECK_EQ(read(fd[kBothShut], text, sizeof text), 4);
  CHECK_EQ(read(fd[kBothShut], text, sizeof text), 0);
  CHECK_EQ(read(peer[kBothShut], text, sizeof text), 0);
  CHECK_ERRNO(read(fd[kReset], text, 1), ECONNRESET);
  CHECK_EQ(read(fd[kReset], text, 1), 0);
  CHECK_EQ(read(fd[kResetRead], text, 1), 0);
  CHECK_ERRNO(send(fd[kResetRead], "x", 1, MSG_NOSIGNAL), EPIPE);
  int error = 0;
  length = sizeof error;
  CHECK_SYS(getsockopt(fd[kRefused], SOL_SOCKET, SO_ERROR, &error, &length));
  CHECK_EQ(error, ECONNREFUSED);
  CHECK_EQ(read(fd[kHalfRead], text, 1), 0);
  CHECK_EQ(write(fd[kHalfRead], "on", 2), 2);
  CHECK_EQ(read(peer[kHalfRead], text, 4), 2);
  check_pass();
}
