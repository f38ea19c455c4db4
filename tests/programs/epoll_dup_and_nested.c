// Epoll sets that watch duplicated descriptors, pipes' ends,
// and another epoll set; an entry lives as long as any copy of its descriptor.
//
// flavours: all
#include <sys/epoll.h>
#include <unistd.h>

#include "check.h"

static void add(int set, int fd, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  CHECK_SYS(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
}

int main(void) {
  int first[2], second[2];
  CHECK_SYS(pipe(first));
  CHECK_SYS(pipe(second));
  int inner = (int)CHECK_SYS(epoll_create1(0)), outer = (int)CHECK_SYS(epoll_create1(0));
  int copy = (int)CHECK_SYS(dup2(first[0], 400));
  add(inner, first[0], EPOLLIN, 1);
  add(inner, copy, EPOLLIN, 2);
  add(outer, inner, EPOLLIN, 3);
  add(outer, second[1], EPOLLOUT | EPOLLET, 4);
  check_ready();
  check_wait();
  struct epoll_event events[4];
  CHECK_EQ(epoll_wait(inner, events, 4, 0), 0);
  int count = (int)CHECK_SYS(epoll_wait(outer, events, 4, 0));
  for (int i = 0; i < count; ++i) CHECK_EQ(events[i].data.u64, 4);
  CHECK_EQ(write(first[1], "x", 1), 1);
  CHECK_EQ(epoll_wait(inner, events, 4, 0), 2);
  CHECK_EQ(events[0].data.u64 + events[1].data.u64, 3);
  CHECK_EQ(epoll_wait(outer, events, 4, 0), 1);
  CHECK_EQ(events[0].data.u64, 3);
  CHECK_SYS(epoll_ctl(inner, EPOLL_CTL_DEL, copy, NULL));
  CHECK_EQ(epoll_wait(inner, events, 4, 0), 1);
  CHECK_EQ(events[0].data.u64, 1);
  close(first[1]);
  CHECK_EQ(epoll_wait(inner, events, 4, 0), 1);
  CHECK_EQ(events[0].events, EPOLLIN | EPOLLHUP);
  close(first[0]);  // the copy keeps the pipe, and so the entry, alive
  CHECK_EQ(epoll_wait(inner, events, 4, 0), 1);
  CHECK_EQ(events[0].data.u64, 1);
  close(copy);
  CHECK_EQ(epoll_wait(inner, events, 4, 0), 0);
  check_pass();
}
