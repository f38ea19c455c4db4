// Every option of a socket that a program can set and read is what it was set to: of all sockets,
// of IP and IPv6, of TCP, of UDP; a filter; group memberships.
//
// flavours: all
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/in6.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

enum { kTcp4, kTcp6, kUdp4, kUdp6, kListener, kSockets };

struct value {
  int level, name, set, expected;
  unsigned sockets;  // a bit each
};

#define EACH 0x1f
#define V4 (1 << kTcp4 | 1 << kUdp4 | 1 << kListener)
#define V6 (1 << kTcp6 | 1 << kUdp6)
#define TCP (1 << kTcp4 | 1 << kTcp6 | 1 << kListener)
#define UDP (1 << kUdp4 | 1 << kUdp6)

static const struct value values[] = {
    {SOL_SOCKET, SO_RCVBUF, 50000, 100000, EACH},
    {SOL_SOCKET, SO_SNDBUF, 40000, 80000, EACH},
    {SOL_SOCKET, SO_RCVLOWAT, 3, 3, EACH},
    {SOL_SOCKET, SO_REUSEADDR, 1, 1, 1 << kTcp4 | 1 << kUdp4},
    {SOL_SOCKET, SO_REUSEPORT, 1, 1, 1 << kTcp6 | 1 << kUdp6},
    {SOL_SOCKET, SO_KEEPALIVE, 1, 1, TCP},
    {SOL_SOCKET, SO_BROADCAST, 1, 1, UDP},
    {SOL_SOCKET, SO_OOBINLINE, 1, 1, TCP},
    {SOL_SOCKET, SO_PRIORITY, 5, 5, V6},
    {SOL_SOCKET, SO_DONTROUTE, 1, 1, UDP},
    {SOL_SOCKET, SO_NO_CHECK, 1, 1, 1 << kUdp4},
    {SOL_SOCKET, SO_RXQ_OVFL, 1, 1, UDP},
    {SOL_SOCKET, SO_TIMESTAMPNS, 1, 1, 1 << kUdp4},
    {SOL_SOCKET, SO_TIMESTAMP, 1, 1, 1 << kUdp6},
    {SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1, 1, UDP},
    {SOL_SOCKET, SO_MAX_PACING_RATE, 1000000, 1000000, TCP},
    {IPPROTO_IP, IP_TOS, 0x10, 0x10, V4},
    {IPPROTO_IP, IP_TTL, 33, 33, V4},
    {IPPROTO_IP, IP_PKTINFO, 1, 1, V4},
    {IPPROTO_IP, IP_RECVERR, 1, 1, V4},
    {IPPROTO_IP, IP_RECVTTL, 1, 1, V4},
    {IPPROTO_IP, IP_RECVTOS, 1, 1, V4},
    {IPPROTO_IP, IP_RECVOPTS, 1, 1, V4},
    {IPPROTO_IP, IP_RETOPTS, 1, 1, V4},
    {IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_PMTUDISC_DO, V4},
    {IPPROTO_IP, IP_FREEBIND, 1, 1, V4},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1, 1, V4},
    {IPPROTO_IP, IP_RECVORIGDSTADDR, 1, 1, 1 << kUdp4},
    {IPPROTO_IP, IP_MINTTL, 4, 4, V4},
    {IPPROTO_IP, IP_MULTICAST_TTL, 7, 7, 1 << kUdp4},
    {IPPROTO_IP, IP_MULTICAST_LOOP, 0, 0, 1 << kUdp4},
    {IPPROTO_IP, IP_MULTICAST_ALL, 0, 0, 1 << kUdp4},
    {IPPROTO_IPV6, IPV6_V6ONLY, 1, 1, V6},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, 44, 44, V6},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 9, 9, 1 << kUdp6},
    {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0, 0, 1 << kUdp6},
    {IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0, 0, 1 << kUdp6},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO, IPV6_PMTUDISC_DO, V6},
    {IPPROTO_IPV6, IPV6_RECVERR, 1, 1, V6},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, 1, V6},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1, 1, V6},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, 1, 1, V6},
    {IPPROTO_IPV6, IPV6_TCLASS, 0x20, 0x20, V6},
    {IPPROTO_IPV6, IPV6_DONTFRAG, 1, 1, 1 << kUdp6},
    {IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 1, 1, V6},
    {IPPROTO_TCP, TCP_NODELAY, 1, 1, 1 << kTcp4 | 1 << kListener},
    {IPPROTO_TCP, TCP_CORK, 1, 1, 1 << kTcp6},
    {IPPROTO_TCP, TCP_KEEPIDLE, 70, 70, TCP},
    {IPPROTO_TCP, TCP_KEEPINTVL, 11, 11, TCP},
    {IPPROTO_TCP, TCP_KEEPCNT, 5, 5, TCP},
    {IPPROTO_TCP, TCP_SYNCNT, 4, 4, TCP},
    {IPPROTO_TCP, TCP_LINGER2, 30, 30, TCP},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, 12345, 12345, TCP},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, 7, 7, 1 << kListener},
    {IPPROTO_TCP, TCP_MAXSEG, 1000, 1000, TCP},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, 20000, 20000, TCP},
    {IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1, 1, TCP},
    {IPPROTO_TCP, TCP_FASTOPEN, 5, 5, 1 << kListener},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384, 16384, TCP},
    {IPPROTO_TCP, TCP_SAVE_SYN, 1, 1, TCP},
    {IPPROTO_TCP, TCP_INQ, 1, 1, TCP},
    {IPPROTO_UDP, UDP_CORK, 1, 1, UDP},
    {IPPROTO_UDP, UDP_SEGMENT, 500, 500, UDP},
    {IPPROTO_UDP, UDP_GRO, 1, 1, UDP},
};

static int descriptors[kSockets];

static int get(int socket, const struct value* value) {
  int got = 0;
  socklen_t length = sizeof got;
  if (getsockopt(descriptors[socket], value->level, value->name, &got, &length) != 0)
    check_fail(__FILE__, __LINE__, "socket %d, level %d, option %d: %s", socket, value->level,
               value->name, strerror(errno));
  return length == 1 ? (unsigned char)got : got;
}

int main(void) {
  int before[sizeof values / sizeof values[0]][kSockets], missing[sizeof values / sizeof values[0]];
  const struct linger linger = {1, 6};
  struct linger lingers;
  char algorithm[16] = "";
  socklen_t length;
  descriptors[kTcp4] = (int)CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
  descriptors[kTcp6] = (int)CHECK_SYS(socket(AF_INET6, SOCK_STREAM, 0));
  descriptors[kUdp4] = (int)CHECK_SYS(socket(AF_INET, SOCK_DGRAM, 0));
  descriptors[kUdp6] = (int)CHECK_SYS(socket(AF_INET6, SOCK_DGRAM, 0));
  descriptors[kListener] = (int)CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
  for (size_t i = 0; i < sizeof values / sizeof values[0]; ++i) {
    missing[i] = 0;
    for (int s = 0; s < kSockets; ++s) {
      if (!(values[i].sockets & 1U << s)) continue;
      if (setsockopt(descriptors[s], values[i].level, values[i].name, &values[i].set,
                     sizeof(int)) != 0) {
        if (errno != ENOPROTOOPT)  // an older kernel
          check_fail(__FILE__, __LINE__, "level %d, option %d: %s", values[i].level, values[i].name,
                     strerror(errno));
        missing[i] = 1;
      }
    }
  }
  CHECK_SYS(setsockopt(descriptors[kTcp4], SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
  CHECK_SYS(setsockopt(descriptors[kTcp4], IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
  CHECK_SYS(listen(descriptors[kListener], 3));
  struct ip_mreqn group = {.imr_ifindex = 1};
  inet_pton(AF_INET, "239.1.2.3", &group.imr_multiaddr);
  CHECK_SYS(setsockopt(descriptors[kUdp4], IPPROTO_IP, IP_MULTICAST_IF, &group, sizeof group));
  struct sock_filter program[] = {{BPF_RET | BPF_K, 0, 0, 0xffff}};
  struct sock_fprog filter = {1, program};
  CHECK_SYS(setsockopt(descriptors[kUdp6], SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter));
  for (size_t i = 0; i < sizeof values / sizeof values[0]; ++i)
    for (int s = 0; s < kSockets; ++s)
      if (!missing[i] && values[i].sockets & 1U << s) before[i][s] = get(s, &values[i]);
  check_ready();
  check_wait();
  for (size_t i = 0; i < sizeof values / sizeof values[0]; ++i)
    for (int s = 0; s < kSockets; ++s)
      if (!missing[i] && values[i].sockets & 1U << s && get(s, &values[i]) != before[i][s])
        check_fail(__FILE__, __LINE__, "socket %d, level %d, option %d: expected %d, got %d", s,
                   values[i].level, values[i].name, before[i][s], get(s, &values[i]));
  length = sizeof lingers;
  CHECK_SYS(getsockopt(descriptors[kTcp4], SOL_SOCKET, SO_LINGER, &lingers, &length));
  CHECK_EQ(memcmp(&lingers, &linger, sizeof linger), 0);
  length = sizeof algorithm;
  CHECK_SYS(getsockopt(descriptors[kTcp4], IPPROTO_TCP, TCP_CONGESTION, algorithm, &length));
  CHECK_STR(algorithm, "reno");
  struct in_addr by_address;
  length = sizeof by_address;
  CHECK_SYS(getsockopt(descriptors[kUdp4], IPPROTO_IP, IP_MULTICAST_IF, &by_address, &length));
  struct sock_filter got[4];
  length = 4;  // in instructions
  CHECK_SYS(getsockopt(descriptors[kUdp6], SOL_SOCKET, SO_GET_FILTER, got, &length));
  CHECK_EQ(length, 1);
  CHECK_EQ(memcmp(got, program, sizeof program), 0);
  check_pass();
}
