// Socket options are kept: buffer sizes, timeouts, flags of unix, TCP and UDP sockets.
//
// flavours: all
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "check.h"

struct option {
  int level, name, value;
};

static int get(int fd, struct option option) {
  int value = -1;
  socklen_t length = sizeof value;
  if (getsockopt(fd, option.level, option.name, &value, &length) != 0)
    check_fail(__FILE__, __LINE__, "getsockopt(%d, %d): %s", option.level, option.name,
               strerror(errno));
  return value;
}

int main(void) {
  static const struct option unix_options[] = {{SOL_SOCKET, SO_SNDBUF, 30000},
                                               {SOL_SOCKET, SO_RCVBUF, 20000},
                                               {SOL_SOCKET, SO_PASSCRED, 1},
                                               {SOL_SOCKET, SO_TIMESTAMP, 1}};
  static const struct option tcp_options[] = {{SOL_SOCKET, SO_REUSEADDR, 1},
                                              {SOL_SOCKET, SO_KEEPALIVE, 1},
                                              {SOL_SOCKET, SO_OOBINLINE, 1},
                                              {SOL_SOCKET, SO_PRIORITY, 3},
                                              {SOL_SOCKET, SO_RCVLOWAT, 5},
                                              {SOL_SOCKET, SO_RCVBUF, 100000},
                                              {IPPROTO_TCP, TCP_NODELAY, 1},
                                              {IPPROTO_TCP, TCP_KEEPIDLE, 1234},
                                              {IPPROTO_TCP, TCP_KEEPINTVL, 77},
                                              {IPPROTO_TCP, TCP_KEEPCNT, 5},
                                              {IPPROTO_TCP, TCP_USER_TIMEOUT, 98765},
                                              {IPPROTO_IP, IP_TTL, 33},
                                              {IPPROTO_IP, IP_TOS, 0x10}};
  static const struct option udp_options[] = {{SOL_SOCKET, SO_BROADCAST, 1},
                                              {SOL_SOCKET, SO_REUSEPORT, 1},
                                              {IPPROTO_IP, IP_PKTINFO, 1},
                                              {IPPROTO_IP, IP_RECVERR, 1},
                                              {IPPROTO_IP, IP_MULTICAST_TTL, 9}};
  int pair[2];
  CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  struct {
    int fd, count;
    const struct option* options;
  } groups[] = {{pair[0], 4, unix_options},
                {(int)CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0)), 13, tcp_options},
                {(int)CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0)), 5, udp_options}};
  int want[3][16];
  for (int g = 0; g < 3; ++g) {
    for (int i = 0; i < groups[g].count; ++i) {
      struct option option = groups[g].options[i];
      CHECK_SYS(
          setsockopt(groups[g].fd, option.level, option.name, &option.value, sizeof option.value));
    }
    // Read back when all are set: IP_TOS changes SO_PRIORITY, so the order of setting matters.
    for (int i = 0; i < groups[g].count; ++i) want[g][i] = get(groups[g].fd, groups[g].options[i]);
  }
  struct timeval timeout = {12, 500000}, got;
  struct linger linger = {1, 17}, linger_got;
  CHECK_SYS(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout));
  CHECK_SYS(setsockopt(groups[1].fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
  check_ready();
  check_wait();
  for (int g = 0; g < 3; ++g) {
    for (int i = 0; i < groups[g].count; ++i) {
      int value = get(groups[g].fd, groups[g].options[i]);
      if (value != want[g][i])
        check_fail(__FILE__, __LINE__, "option %d of group %d: expected %d, got %d", i, g,
                   want[g][i], value);
    }
  }
  socklen_t length = sizeof got;
  CHECK_SYS(getsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &got, &length));
  CHECK_EQ(got.tv_sec, 12);
  CHECK_EQ(got.tv_usec, 500000);
  length = sizeof linger_got;
  CHECK_SYS(getsockopt(groups[1].fd, SOL_SOCKET, SO_LINGER, &linger_got, &length));
  CHECK_EQ(linger_got.l_onoff, 1);
  CHECK_EQ(linger_got.l_linger, 17);
  check_pass();
}
