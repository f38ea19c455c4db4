// A thread in epoll_wait without a timeout is woken by an event that comes afterwards, and a set
// with 1,000 entries reports every one.
//
// flavours: all
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"

enum { kEntries = 1000 };
static int set;
static atomic_int tid;

static void* waiter(void* unused) {
  (void)unused;
  struct epoll_event event;
  tid = gettid();
  CHECK_EQ(epoll_wait(set, &event, 1, -1), 1);
  CHECK_EQ(event.data.u32, 567);
  return NULL;
}

int main(void) {
  struct rlimit limit;
  CHECK_SYS(getrlimit(RLIMIT_NOFILE, &limit));
  if (limit.rlim_max < 1100) check_skip("fewer than 1,100 descriptors allowed");
  limit.rlim_cur = 1100;
  CHECK_SYS(setrlimit(RLIMIT_NOFILE, &limit));
  static int fds[kEntries];
  set = (int)CHECK_SYS(epoll_create1(0));
  for (uint32_t i = 0; i < kEntries; ++i) {
    fds[i] = (int)CHECK_SYS(eventfd(0, EFD_NONBLOCK));
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
    CHECK_SYS(epoll_ctl(set, EPOLL_CTL_ADD, fds[i], &event));
  }
  pthread_t thread;
  CHECK_OK(pthread_create(&thread, NULL, waiter, NULL));
  while (tid == 0) check_sleep_ms(1);
  check_until_asleep(tid);
  check_ready();
  check_wait();
  uint64_t one = 1;
  CHECK_EQ(write(fds[567], &one, 8), 8);
  CHECK_OK(pthread_join(thread, NULL));
  for (int i = 0; i < kEntries; ++i) CHECK_EQ(write(fds[i], &one, 8), 8);
  static struct epoll_event events[kEntries + 1];
  static char seen[kEntries];
  CHECK_EQ(epoll_wait(set, events, kEntries + 1, 0), kEntries);
  for (int i = 0; i < kEntries; ++i) ++seen[events[i].data.u32];
  for (int i = 0; i < kEntries; ++i) CHECK_EQ(seen[i], 1);
  check_pass();
}
