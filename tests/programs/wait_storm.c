// Twenty threads in fifteen kinds of blocking calls, woken again and again: no EINTR, no lost
// wake-up or signal, no changed errno. In the storm flavour a checkpoint comes every 50 ms.
//
// flavours: all storm
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

enum kind {
  kRead,
  kReadv,
  kPoll,
  kPpoll,
  kSelect,
  kPselect,
  kEpoll,
  kReceive,
  kReceiveFrom,
  kEventfd,
  kFutex,
  kSemaphore,
  kSigwaitinfo,
  kSignalfd,
  kAccept,
  kKinds,
  kThreads = 20
};

static const int kErrno = 0x5a5a;
static atomic_long sent[kThreads], received[kThreads];
static atomic_int words[kThreads], stop;
static int inputs[kThreads], outputs[kThreads], sets[kThreads];
static sem_t semaphores[kThreads];
static pthread_t threads[kThreads];
static struct sockaddr_un listen_name;

static int kind_of(int index) {
  return index % kKinds;
}

static void make_input(int index) {
  int ends[2];
  struct epoll_event event = {.events = EPOLLIN};
  sigset_t set;
  switch (kind_of(index)) {
    case kReceive:
    case kReceiveFrom:
      CHECK_SYS(
          socketpair(AF_UNIX, kind_of(index) == kReceive ? SOCK_STREAM : SOCK_DGRAM, 0, ends));
      break;
    case kEventfd:
      ends[0] = ends[1] = (int)CHECK_SYS(eventfd(0, EFD_SEMAPHORE));
      break;
    case kSignalfd:
      sigemptyset(&set);
      sigaddset(&set, SIGRTMIN + 1);
      ends[0] = ends[1] = (int)CHECK_SYS(signalfd(-1, &set, 0));
      break;
    case kAccept:
      listen_name.sun_family = AF_UNIX;
      snprintf(listen_name.sun_path, sizeof listen_name.sun_path, "storm.sock");
      ends[0] = ends[1] = (int)CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
      CHECK_SYS(bind(ends[0], (struct sockaddr*)&listen_name, sizeof listen_name));
      CHECK_SYS(listen(ends[0], 10));
      break;
    default:
      CHECK_SYS(pipe(ends));
      break;
  }
  inputs[index] = ends[0];
  outputs[index] = ends[1];
  sets[index] = (int)CHECK_SYS(epoll_create1(0));
  if (kind_of(index) == kEpoll) CHECK_SYS(epoll_ctl(sets[index], EPOLL_CTL_ADD, ends[0], &event));
  CHECK_SYS(sem_init(&semaphores[index], 0, 0));
}

static void take_byte(int fd) {
  char byte;
  CHECK_EQ(read(fd, &byte, 1), 1);
}

static void receive(int index) {
  int fd = inputs[index];
  char byte;
  uint64_t value;
  struct iovec part = {&byte, 1};
  struct pollfd polled = {fd, POLLIN, 0};
  struct epoll_event event;
  struct signalfd_siginfo info;
  fd_set readable;
  sigset_t set, both;
  FD_ZERO(&readable);
  FD_SET(fd, &readable);
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  both = set;
  sigaddset(&both, SIGRTMIN + 1);
  switch (kind_of(index)) {
    case kRead:
      take_byte(fd);
      break;
    case kReadv:
      CHECK_EQ(readv(fd, &part, 1), 1);
      break;
    case kPoll:
      CHECK_EQ(poll(&polled, 1, -1), 1);
      take_byte(fd);
      break;
    case kPpoll:
      CHECK_EQ(ppoll(&polled, 1, NULL, &both), 1);
      take_byte(fd);
      break;
    case kSelect:
      CHECK_EQ(select(fd + 1, &readable, NULL, NULL, NULL), 1);
      take_byte(fd);
      break;
    case kPselect:
      CHECK_EQ(pselect(fd + 1, &readable, NULL, NULL, NULL, &both), 1);
      take_byte(fd);
      break;
    case kEpoll:
      CHECK_EQ(epoll_wait(sets[index], &event, 1, -1), 1);
      take_byte(fd);
      break;
    case kReceive:
      CHECK_EQ(recv(fd, &byte, 1, 0), 1);
      break;
    case kReceiveFrom:
      CHECK_EQ(recvfrom(fd, &byte, 1, 0, NULL, NULL), 1);
      break;
    case kEventfd:
      CHECK_EQ(read(fd, &value, 8), 8);
      break;
    case kFutex:
      while (words[index] == 0) {
        if (syscall(SYS_futex, &words[index], FUTEX_WAIT, 0, NULL, NULL, 0) == 0) continue;
        CHECK_EQ(errno, EAGAIN);  // the word changed before the call: no failure
        errno = kErrno;
      }
      words[index] = 0;
      break;
    case kSemaphore:
      CHECK_SYS(sem_wait(&semaphores[index]));
      break;
    case kSigwaitinfo:
      CHECK_EQ(sigwaitinfo(&set, NULL), SIGRTMIN);
      break;
    case kSignalfd:
      CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
      break;
    case kAccept:
      close((int)CHECK_SYS(accept(fd, NULL, NULL)));
      break;
  }
}

static void send_to(int index) {
  uint64_t one = 1;
  ++sent[index];
  switch (kind_of(index)) {
    case kEventfd:
      CHECK_EQ(write(outputs[index], &one, 8), 8);
      break;
    case kFutex:
      words[index] = 1;
      CHECK_SYS(syscall(SYS_futex, &words[index], FUTEX_WAKE, 1, NULL, NULL, 0));
      break;
    case kSemaphore:
      CHECK_SYS(sem_post(&semaphores[index]));
      break;
    case kSigwaitinfo:
      CHECK_OK(pthread_kill(threads[index], SIGRTMIN));
      break;
    case kSignalfd:
      CHECK_SYS(kill(getpid(), SIGRTMIN + 1));
      break;
    case kAccept: {
      int client = (int)CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
      CHECK_SYS(connect(client, (struct sockaddr*)&listen_name, sizeof listen_name));
      close(client);
      break;
    }
    default:
      CHECK_EQ(write(outputs[index], "x", 1), 1);
      break;
  }
}

static void* run(void* argument) {
  int index = (int)(intptr_t)argument;
  for (;;) {
    errno = kErrno;
    receive(index);
    CHECK_EQ(errno, kErrno);
    ++received[index];
    if (stop) return NULL;
  }
}

// Every thread gets one event, and none more, before the next turn.
static void one_turn(void) {
  for (int i = 0; i < kThreads; ++i) send_to(i);
  for (int i = 0; i < kThreads; ++i)
    while (received[i] != sent[i]) check_sleep_ms(1);
}

int main(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigaddset(&set, SIGRTMIN + 1);
  CHECK_SYS(sigprocmask(SIG_BLOCK, &set, NULL));
  CHECK_SYS(chdir(check_path("")));
  for (int i = 0; i < kThreads; ++i) make_input(i);
  for (intptr_t i = 0; i < kThreads; ++i)
    CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)i));
  one_turn();
  check_ready();
  while (check_busy()) one_turn();
  check_wait();
  for (int i = 0; i < 50; ++i) one_turn();
  stop = 1;
  one_turn();
  for (int i = 0; i < kThreads; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  check_pass();
}
