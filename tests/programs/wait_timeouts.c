// Calls that wait with a relative or absolute timeout keep their deadline over the checkpoint:
// never early, and not begun anew (then they would end 0.8 s after a twin sleeping to an absolute
// time).
//
// flavours: all
// unsteady: threads,status,maps because its threads end at their deadlines
// not: busy because it waits for a second and a half
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"

enum kind {
  kTwin,
  kNanosleep,
  kClockNanosleep,
  kAbsoluteNanosleep,
  kPoll,
  kPpoll,
  kSelect,
  kPselect,
  kEpollWait,
  kEpollPwait2,
  kSigtimedwait,
  kFutexRelative,
  kFutexAbsolute,
  kCondition,
  kConditionMonotonic,
  kSemaphore,
  kMutex,
  kReceive,
  kReceivePart,  // MSG_WAITALL: the part that has come
  kReadv,
  kSendPart,
  kAccept,
  kKinds
};

static const int64_t kDuration = 1500000000, kBefore = 900000000, kTolerance = 700000000;
static int64_t began[kKinds], ended[kKinds];
static atomic_int tids[kKinds];
static int empty_pipe[2], set, pairs[kKinds][2];
static sem_t zero;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static struct timespec at(int64_t nanoseconds) {
  return (struct timespec){nanoseconds / 1000000000, nanoseconds % 1000000000};
}

static void wait_condition(clockid_t clock) {
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t never;
  pthread_condattr_t attributes;
  CHECK_OK(pthread_condattr_init(&attributes));
  CHECK_OK(pthread_condattr_setclock(&attributes, clock));
  CHECK_OK(pthread_cond_init(&never, &attributes));
  struct timespec until = at(check_nanoseconds(clock) + kDuration);
  CHECK_OK(pthread_mutex_lock(&lock));
  int result;
  while ((result = pthread_cond_timedwait(&never, &lock, &until)) == 0) {
  }
  CHECK_EQ(result, ETIMEDOUT);
}

static void wait_in(enum kind kind) {
  struct timespec duration = at(kDuration),
                  until = at(check_nanoseconds(CLOCK_MONOTONIC) + kDuration);
  struct timespec until_world = at(check_nanoseconds(CLOCK_REALTIME) + kDuration);
  struct timeval interval = {1, 500000};
  struct pollfd polled = {empty_pipe[0], POLLIN, 0};
  struct epoll_event event;
  sigset_t signals;
  fd_set readable;
  static int word;
  static char many[1 << 20];
  char byte = 0;
  struct iovec part = {&byte, 1};
  int fd = pairs[kind][0];
  ssize_t received;
  FD_ZERO(&readable);
  FD_SET(empty_pipe[0], &readable);
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  switch (kind) {
    case kTwin:
    case kAbsoluteNanosleep:
      CHECK_OK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL));
      break;
    case kNanosleep:
      CHECK_SYS(nanosleep(&duration, NULL));
      break;
    case kClockNanosleep:
      CHECK_OK(clock_nanosleep(CLOCK_BOOTTIME, 0, &duration, NULL));
      break;
    case kPoll:
      CHECK_EQ(poll(&polled, 1, 1500), 0);
      break;
    case kPpoll:
      CHECK_EQ(ppoll(&polled, 1, &duration, &signals), 0);
      break;
    case kSelect:
      CHECK_EQ(select(empty_pipe[0] + 1, &readable, NULL, NULL, &interval), 0);
      break;
    case kPselect:
      CHECK_EQ(pselect(empty_pipe[0] + 1, &readable, NULL, NULL, &duration, &signals), 0);
      break;
    case kEpollWait:
      CHECK_EQ(epoll_wait(set, &event, 1, 1500), 0);
      break;
    case kEpollPwait2:
      CHECK_EQ(epoll_pwait2(set, &event, 1, &duration, &signals), 0);
      break;
    case kSigtimedwait:
      CHECK_ERRNO(sigtimedwait(&signals, NULL, &duration), EAGAIN);
      break;
    case kFutexRelative:
      CHECK_ERRNO(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &duration, NULL, 0), ETIMEDOUT);
      break;
    case kFutexAbsolute:
      CHECK_ERRNO(
          syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &until, NULL, FUTEX_BITSET_MATCH_ANY),
          ETIMEDOUT);
      break;
    case kCondition:
      wait_condition(CLOCK_REALTIME);
      break;
    case kConditionMonotonic:
      wait_condition(CLOCK_MONOTONIC);
      break;
    case kSemaphore:
      CHECK_ERRNO(sem_timedwait(&zero, &until_world), ETIMEDOUT);
      break;
    case kMutex:
      CHECK_EQ(pthread_mutex_timedlock(&held, &until_world), ETIMEDOUT);
      break;
    case kReceive:
      CHECK_ERRNO(recv(fd, &byte, 1, 0), EAGAIN);
      break;
    case kReceivePart:
      CHECK_EQ(recv(fd, many, sizeof many, MSG_WAITALL), 5);
      break;
    case kReadv:
      CHECK_ERRNO(readv(fd, &part, 1), EAGAIN);
      break;
    case kSendPart:
      received = (ssize_t)CHECK_SYS(write(fd, many, sizeof many));
      CHECK(received > 0 && received < (ssize_t)sizeof many);
      break;
    case kAccept:
      CHECK_ERRNO(accept(fd, NULL, NULL), EAGAIN);
      break;
    case kKinds:
      break;
  }
}

// Those that wait for a moment of the world's clock end by it, also when it passed in the downtime.
static int by_the_world(int kind) {
  return kind == kCondition || kind == kSemaphore || kind == kMutex;
}

static int has_socket(int kind) {
  return kind >= kReceive;
}

static void make_sockets(void) {
  struct timeval interval = {1, 500000};
  for (int i = kReceive; i < kKinds; ++i) {
    CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]));
    if (i == kAccept) {
      pairs[i][0] = (int)CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
      struct sockaddr name = {.sa_family = AF_UNIX};
      CHECK_SYS(bind(pairs[i][0], &name, sizeof(sa_family_t)));  // a name of the kernel's choice
      CHECK_SYS(listen(pairs[i][0], 1));
    }
    int sends = i == kSendPart;
    CHECK_SYS(setsockopt(pairs[i][0], SOL_SOCKET, sends ? SO_SNDTIMEO : SO_RCVTIMEO, &interval,
                         sizeof interval));
  }
  CHECK_EQ(write(pairs[kReceivePart][1], "hello", 5), 5);
}

static void* run(void* argument) {
  intptr_t kind = (intptr_t)argument;
  clockid_t clock = by_the_world((int)kind) ? CLOCK_REALTIME : CLOCK_MONOTONIC;
  began[kind] = check_nanoseconds(clock);
  tids[kind] = gettid();
  wait_in((enum kind)kind);
  ended[kind] = check_nanoseconds(clock);
  return NULL;
}

int main(void) {
  pthread_t threads[kKinds];
  struct epoll_event event = {.events = EPOLLIN};
  CHECK_SYS(pipe(empty_pipe));
  make_sockets();
  set = (int)CHECK_SYS(epoll_create1(0));
  CHECK_SYS(epoll_ctl(set, EPOLL_CTL_ADD, empty_pipe[0], &event));
  CHECK_SYS(sem_init(&zero, 0, 0));
  CHECK_OK(pthread_mutex_lock(&held));
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  CHECK_OK(pthread_sigmask(SIG_BLOCK, &signals, NULL));
  for (intptr_t i = 0; i < kKinds; ++i) CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)i));
  for (int i = 0; i < kKinds; ++i)
    while (tids[i] == 0) check_sleep_ms(1);
  while (check_nanoseconds(CLOCK_MONOTONIC) - began[kTwin] < kBefore) check_sleep_ms(5);
  check_ready();
  check_wait();
  for (int i = 0; i < kKinds; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  int64_t twin = ended[kTwin] - began[kTwin];
  for (int i = 0; i < kKinds; ++i) {
    int64_t passed = ended[i] - began[i];
    // A socket's timeout counts in ticks of the kernel, which may round to below.
    if (passed < kDuration - (has_socket(i) ? 10000000 : 0))
      check_fail(__FILE__, __LINE__, "kind %d: expected not before %lld ns, got %lld", i,
                 (long long)kDuration, (long long)passed);
    if (!by_the_world(i) && passed > twin + kTolerance)
      check_fail(__FILE__, __LINE__, "kind %d: expected like its twin after %lld ns, got %lld", i,
                 (long long)twin, (long long)passed);
  }
  check_pass();
}
