// Twelve threads each blocked in another kind of call: none sees an EINTR, an error or an early
// return, and each ends by what it waited for.
//
// flavours: all
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"

enum { kKinds = 12 };
static int pipes[kKinds][2], pair[2], set, counter;
static atomic_int tids[kKinds], word;

static void expect_byte(int fd) {
  char byte = 0;
  CHECK_EQ(read(fd, &byte, 1), 1);
  CHECK_EQ(byte, 'x');
}

static void* run(void* argument) {
  intptr_t kind = (intptr_t)argument;
  int end = pipes[kind][0];
  char byte = 0;
  struct iovec part = {&byte, 1};
  struct pollfd polled = {end, POLLIN, 0};
  struct epoll_event event;
  fd_set readable;
  uint64_t value;
  FD_ZERO(&readable);
  FD_SET(end, &readable);
  tids[kind] = gettid();
  switch (kind) {
    case 0:
      expect_byte(end);
      return NULL;
    case 1:
      CHECK_EQ(readv(end, &part, 1), 1);
      return NULL;
    case 2:
      CHECK_EQ(poll(&polled, 1, -1), 1);
      break;
    case 3:
      CHECK_EQ(ppoll(&polled, 1, NULL, NULL), 1);
      break;
    case 4:
      CHECK_EQ(select(end + 1, &readable, NULL, NULL, NULL), 1);
      break;
    case 5:
      CHECK_EQ(pselect(end + 1, &readable, NULL, NULL, NULL, NULL), 1);
      break;
    case 6:
      CHECK_EQ(epoll_wait(set, &event, 1, -1), 1);
      break;
    case 7:
      CHECK_EQ(recv(pair[0], &byte, 1, 0), 1);
      return NULL;
    case 8:
      CHECK_EQ(read(counter, &value, 8), 8);
      return NULL;
    case 9:
      CHECK_SYS(syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0));
      return NULL;
    case 10:
      CHECK_EQ(splice(end, NULL, pipes[11][1], NULL, 1, 0), 1);
      return NULL;
    case 11:
      expect_byte(end);
      return NULL;
  }
  expect_byte(end);
  return NULL;
}

int main(void) {
  pthread_t threads[kKinds];
  struct epoll_event event = {.events = EPOLLIN};
  uint64_t one = 1;
  for (int i = 0; i < kKinds; ++i) CHECK_SYS(pipe(pipes[i]));
  CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  set = (int)CHECK_SYS(epoll_create1(0));
  counter = (int)CHECK_SYS(eventfd(0, 0));
  CHECK_SYS(epoll_ctl(set, EPOLL_CTL_ADD, pipes[6][0], &event));
  for (intptr_t i = 0; i < kKinds; ++i) {
    CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)i));
    while (tids[i] == 0) check_sleep_ms(1);
    check_until_asleep(tids[i]);
  }
  check_ready();
  check_wait();
  for (int i = 0; i < kKinds; ++i)
    if (i < 7 || i == 10) CHECK_EQ(write(pipes[i][1], "x", 1), 1);
  CHECK_EQ(write(pair[1], "x", 1), 1);
  CHECK_EQ(write(counter, &one, 8), 8);
  CHECK_EQ(syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
  for (int i = 0; i < kKinds; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  check_pass();
}
