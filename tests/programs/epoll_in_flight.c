// An epoll set that is in flight only, in the queue of the very socket that it watches.
//
// flavours: all
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

typedef union {
  char bytes[CMSG_SPACE(sizeof(int))];
  struct cmsghdr header;
} Control;

static void send_fd(int via, int fd) {
  Control control = {{0}};
  struct iovec part = {"e", 1};
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
  CHECK_EQ(sendmsg(via, &message, 0), 1);
}

static int receive_fd(int via) {
  Control control = {{0}};
  char byte;
  int fd = -1;
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
  CHECK_EQ(recvmsg(via, &message, 0), 1);
  CHECK_EQ(control.header.cmsg_type, SCM_RIGHTS);
  memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
  return fd;
}

int main(void) {
  int ends[2];
  CHECK_SYS(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
  int set = (int)CHECK_SYS(epoll_create1(0));
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x123456789abcdef0};
  CHECK_SYS(epoll_ctl(set, EPOLL_CTL_ADD, ends[1], &event));
  send_fd(ends[0], set);
  CHECK_SYS(close(set));
  check_ready();
  check_wait();
  set = receive_fd(ends[1]);
  CHECK_EQ(epoll_wait(set, &event, 1, 0), 0);
  CHECK_EQ(write(ends[0], "w", 1), 1);
  CHECK_EQ(epoll_wait(set, &event, 1, -1), 1);
  CHECK_EQ(event.events, EPOLLIN);
  CHECK_EQ(event.data.u64, 0x123456789abcdef0);
  check_pass();
}
