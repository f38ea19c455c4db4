// Netlink sockets that nothing waits in keep their port, groups and options, and answer afterwards.
//
// flavours: all
// not: busy because messages of the kernel wait in it in between, and are refused
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

static int count_links(int fd) {
  struct {
    struct nlmsghdr header;
    struct rtgenmsg body;
  } request = {{sizeof request, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 7, 0}, {AF_UNSPEC}};
  static char buffer[1 << 16];
  int links = 0;
  CHECK_EQ(send(fd, &request, sizeof request, 0), sizeof request);
  for (;;) {
    int left = (int)CHECK_SYS(recv(fd, buffer, sizeof buffer, 0));
    for (struct nlmsghdr* h = (void*)buffer; NLMSG_OK(h, (unsigned)left); h = NLMSG_NEXT(h, left)) {
      if (h->nlmsg_type == NLMSG_DONE) return links;
      CHECK_EQ(h->nlmsg_type, RTM_NEWLINK);
      CHECK_EQ(h->nlmsg_seq, 7);
      ++links;
    }
  }
}

int main(void) {
  int one = 1, got = 0;
  socklen_t length;
  int route = (int)CHECK_SYS(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  int events = (int)CHECK_SYS(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT));
  int fresh = (int)CHECK_SYS(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
  struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK}, bound, now;
  CHECK_SYS(bind(route, (struct sockaddr*)&name, sizeof name));
  int far_group = RTNLGRP_NSID;
  CHECK_SYS(setsockopt(route, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &far_group, sizeof far_group));
  CHECK_SYS(setsockopt(route, SOL_NETLINK, NETLINK_PKTINFO, &one, sizeof one));
  CHECK_SYS(setsockopt(route, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one));
  name.nl_groups = 1;
  CHECK_SYS(bind(events, (struct sockaddr*)&name, sizeof name));
  length = sizeof bound;
  CHECK_SYS(getsockname(route, (struct sockaddr*)&bound, &length));
  int links = count_links(route);
  check_ready();
  check_wait();
  length = sizeof now;
  CHECK_SYS(getsockname(route, (struct sockaddr*)&now, &length));
  CHECK_EQ(now.nl_pid, bound.nl_pid);
  CHECK_EQ(now.nl_groups, bound.nl_groups);
  unsigned groups[8] = {0};
  length = sizeof groups;
  CHECK_SYS(getsockopt(route, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, &length));
  CHECK_EQ(groups[0], RTMGRP_LINK | 1U << (RTNLGRP_NSID - 1));
  length = sizeof got;
  CHECK_SYS(getsockopt(route, SOL_NETLINK, NETLINK_EXT_ACK, &got, &length));
  CHECK_EQ(got, 1);
  length = sizeof now;
  CHECK_SYS(getsockname(events, (struct sockaddr*)&now, &length));
  CHECK_EQ(now.nl_groups, 1);
  CHECK_EQ(count_links(route), links);
  length = sizeof now;
  CHECK_SYS(getsockname(fresh, (struct sockaddr*)&now, &length));
  CHECK_EQ(now.nl_pid, 0);
  CHECK_EQ(count_links(fresh), links);
  check_pass();
}
