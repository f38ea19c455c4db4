// Calls that were interrupted by a checkpoint and then by a signal of the program's own: what they
// return is what they return without a checkpoint. A signal that a wait holds back does not end it.
// A wait that comes later has its own timeout.
//
// flavours: all storm
// unsteady: status because a timer's signal may be pending
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum kind {
  kWrite,    // returns the part that is done, with and without SA_RESTART
  kRead,     // begins anew under SA_RESTART, else EINTR
  kReceive,  // EINTR also under SA_RESTART, since the socket has a timeout
  kSleep,    // EINTR, and tells what remains
  kPoll,     // EINTR also under SA_RESTART
  kWait,     // sigtimedwait: EINTR
  kKinds
};

enum {
  kThreads = 2 * kKinds,
  kBytes = 300000,
  kNormal = 0,
  kRestarting = 1
};  // second half: SA_RESTART
static const int kSignals[2] = {34, 35};
static int pipes[kThreads][2];
static atomic_int tids[kThreads], handled[kThreads + 1];
static _Thread_local int self;
static char bytes[kBytes];

static void count(int number) {
  (void)number;
  ++handled[self];
}

static void run_kind(enum kind kind, int restarting, int fd) {
  struct timespec long_time = {1000, 0}, left = {0, 0};
  struct pollfd polled = {fd, POLLIN, 0};
  sigset_t other;
  char byte;
  sigemptyset(&other);
  sigaddset(&other, 40);
  switch (kind) {
    case kWrite:
      CHECK_EQ(write(pipes[self][1], bytes, kBytes), 65536);
      break;
    case kRead:
      if (restarting)
        CHECK_EQ(read(fd, &byte, 1), 1);
      else
        CHECK_ERRNO(read(fd, &byte, 1), EINTR);
      break;
    case kReceive:
      CHECK_ERRNO(recv(fd, &byte, 1, 0), EINTR);
      break;
    case kSleep:
      CHECK_ERRNO(nanosleep(&long_time, &left), EINTR);
      CHECK_EQ(long_time.tv_sec, 1000);
      CHECK(left.tv_sec >= 900 && left.tv_sec < 1000);
      break;
    case kPoll:
      CHECK_ERRNO(poll(&polled, 1, 1000000), EINTR);
      break;
    case kWait:
      CHECK_ERRNO(sigtimedwait(&other, NULL, &long_time), EINTR);
      break;
    case kKinds:
      break;
  }
}

static void* run(void* argument) {
  intptr_t index = (intptr_t)argument;
  self = (int)index;
  tids[index] = gettid();
  run_kind((enum kind)(index % kKinds), index >= kKinds, pipes[index][0]);
  CHECK_EQ(handled[index], 1);
  return NULL;
}

// A timer sends this thread a signal that is blocked in the wait and only there. It is pending all
// the time, also over a checkpoint, and may not end the wait.
static int rounds_input[2];
static atomic_int rounds_tid, rounds_over;
static atomic_long rounds;

static void* held_back(void* unused) {
  (void)unused;
  self = kThreads;
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = 41};
  event._sigev_un._tid = gettid();
  struct itimerspec often = {{0, 500000}, {0, 500000}};
  struct pollfd polled = {rounds_input[0], POLLIN, 0};
  struct timespec sleep = {0, 100000}, same = sleep;
  sigset_t held;
  timer_t timer;
  sigemptyset(&held);
  sigaddset(&held, 41);
  CHECK_SYS(timer_create(CLOCK_MONOTONIC, &event, &timer));
  CHECK_SYS(timer_settime(timer, 0, &often, NULL));
  rounds_tid = gettid();
  while (!rounds_over) {
    char byte;
    CHECK_EQ(ppoll(&polled, 1, NULL, &held), 1);
    while (read(rounds_input[0], &byte, 1) != 1) CHECK_EQ(errno, EINTR);
    ++rounds;
    struct timespec before = sleep;
    if (nanosleep(&sleep, &same) == 0) CHECK_EQ(sleep.tv_nsec, before.tv_nsec);
  }
  CHECK_SYS(timer_delete(timer));
  return NULL;
}

static void one_round(void) {
  long before = rounds;
  CHECK_EQ(write(rounds_input[1], "x", 1), 1);
  while (rounds == before) check_sleep_ms(1);
}

// The same call site, stack and number as the wait that a checkpoint interrupted.
static void sleep_in_polls(int set) {
  struct epoll_event event;
  struct timespec duration = {0, 5000000}, kept = duration;
  for (int i = 0; i < 3; ++i) {
    int64_t began = check_nanoseconds(CLOCK_MONOTONIC);
    CHECK_EQ(epoll_wait(set, &event, 1, 5), 0);
    CHECK(check_nanoseconds(CLOCK_MONOTONIC) - began >= 5000000);
    began = check_nanoseconds(CLOCK_MONOTONIC);
    CHECK_SYS(nanosleep(&duration, &duration));
    CHECK_EQ(duration.tv_nsec, kept.tv_nsec);
    CHECK(check_nanoseconds(CLOCK_MONOTONIC) - began >= 5000000);
  }
}

static void handle(int number, int flags) {
  struct sigaction action = {.sa_handler = count, .sa_flags = flags};
  CHECK_SYS(sigaction(number, &action, NULL));
}

int main(void) {
  pthread_t threads[kThreads], holder;
  struct timeval limit = {1000, 0};
  int set = (int)CHECK_SYS(epoll_create1(0));
  handle(kSignals[kNormal], 0);
  handle(kSignals[kRestarting], SA_RESTART);
  handle(41, 0);
  for (int i = 0; i < kThreads; ++i) {
    if (i % kKinds == kReceive) {
      CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, pipes[i]));
      CHECK_SYS(setsockopt(pipes[i][0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    } else {
      CHECK_SYS(pipe(pipes[i]));
    }
  }
  CHECK_SYS(pipe(rounds_input));
  CHECK_OK(pthread_create(&holder, NULL, held_back, NULL));
  for (intptr_t i = 0; i < kThreads; ++i)
    CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)i));
  for (int i = 0; i < kThreads; ++i) {
    while (tids[i] == 0) check_sleep_ms(1);
    check_until_asleep(tids[i]);
  }
  while (rounds_tid == 0) check_sleep_ms(1);
  check_ready();
  while (check_busy()) {
    one_round();
    sleep_in_polls(set);
  }
  check_wait();
  sleep_in_polls(set);
  one_round();
  for (int i = 0; i < kThreads; ++i) {
    CHECK_EQ(handled[i], 0);
    CHECK_OK(pthread_kill(threads[i], kSignals[i >= kKinds]));
    if (i % kKinds == kRead && i >= kKinds) {
      while (handled[i] == 0) check_sleep_ms(1);
      CHECK_EQ(write(pipes[i][1], "x", 1), 1);
    }
    CHECK_OK(pthread_join(threads[i], NULL));
  }
  rounds_over = 1;
  CHECK_EQ(write(rounds_input[1], "x", 1), 1);
  CHECK_OK(pthread_join(holder, NULL));
  check_pass();
}
