// An epoll set, an eventfd and a timerfd that parent and child share: entries made before the fork
// and after it by each of them, and a child that sleeps in epoll_wait.
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "child.h"

static int g_set, g_event, g_pipe[2], g_only_child[2];

static void add(int fd, uint64_t data) {
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};
  CHECK_SYS(epoll_ctl(g_set, EPOLL_CTL_ADD, fd, &event));
}

static void wait_for(uint64_t data) {
  struct epoll_event event;
  CHECK_EQ(epoll_wait(g_set, &event, 1, -1), 1);
  CHECK_EQ(event.data.u64, data);
}

static void wait_and_change(void) {
  uint64_t value;
  wait_for(1);
  CHECK_EQ(read(g_event, &value, 8), 8);
  CHECK_EQ(value, 5);
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = 22};
  CHECK_SYS(epoll_ctl(g_set, EPOLL_CTL_MOD, g_pipe[0], &event));
  value = 7;
  CHECK_EQ(write(g_event, &value, 8), 8);
}

int main(void) {
  CHECK_SYS(g_set = epoll_create1(0));
  CHECK_SYS(g_event = eventfd(0, 0));
  CHECK_SYS(pipe(g_pipe));
  add(g_event, 1);
  add(g_pipe[0], 2);
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) {
    CHECK_SYS(pipe(g_only_child));
    add(g_only_child[0], 3);
    wait_and_change();
    _exit(0);
  }
  check_until_child_asleep(pid);
  check_ready();
  check_wait();
  uint64_t value = 5;
  CHECK_EQ(write(g_event, &value, 8), 8);
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  wait_for(1);
  CHECK_EQ(read(g_event, &value, 8), 8);
  CHECK_EQ(value, 7);
  CHECK_EQ(write(g_pipe[1], "x", 1), 1);
  wait_for(22);
  CHECK_SYS(epoll_ctl(g_set, EPOLL_CTL_DEL, g_pipe[0], NULL));
  check_pass();
}
