// A thread for each place where a park request may find one. Each counts its turns; the main thread
// prints a line whenever all have turned.
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum kind {
  kCompute,      // user code
  kClock,        // vDSO functions: their addresses are the host's
  kFast,         // calls that go straight to the kernel
  kSlow,         // calls that have a handler
  kPatchless,    // a call from text that has no stub
  kBlocked,      // a wait without an end, ended now and then
  kSleep,        // short waits with a deadline
  kRaise,        // into a handler and out of it, again and again
  kInHandler,    // a handler that does not return
  kHailed,       // signals from another thread at any moment
  kHail,         // that thread
  kVfork,        // waits uninterruptibly for its child
  kKinds
};

static atomic_ulong turns[kKinds];
static pthread_t threads[kKinds];
static int channel[2];

static void count(int number) {
  (void)number;
}

static void stay(int number) {
  (void)number;
  for (;;) ++turns[kInHandler];
}

static void give_up(const char* what) {
  perror(what);
  exit(1);
}

static void spawn(void) {
  pid_t child = vfork();
  if (child == 0) {
    execl("/bin/true", "true", (char*)NULL);
    _exit(1);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) give_up("vfork");
  usleep(2000);
}

static void turn(enum kind kind) {
  struct timespec now, tick = {0, 300000};
  struct pollfd polled = {channel[0], POLLIN, 0};
  unsigned long left, number = SYS_getppid;
  volatile unsigned sum = 0;
  char byte = 0;
  switch (kind) {
    case kCompute:
      for (unsigned i = 0; i < 1000; ++i) sum = sum * 3 + i;
      break;
    case kClock:
      clock_gettime(CLOCK_MONOTONIC, &now);
      break;
    case kFast:
      if (read(channel[0], &byte, 0) != 0) give_up("read");
      break;
    case kSlow:
      if (poll(&polled, 0, 0) != 0) give_up("poll");
      break;
    case kPatchless:
      __asm__ volatile("xchg %%rax, %0; syscall; xchg %%rax, %0" : "+r"(number) : : "rax", "rcx", "r11", "memory");
      break;
    case kBlocked:
      if (read(channel[0], &byte, 1) != 1) give_up("read");
      break;
    case kSleep:
      left = (unsigned long)nanosleep(&tick, NULL);
      if (left != 0) give_up("nanosleep");
      if (write(channel[1], &byte, 1) != 1) give_up("write");
      break;
    case kRaise:
      raise(SIGUSR1);
      break;
    case kInHandler:
      raise(SIGUSR2);
      break;
    case kHailed:
      for (unsigned i = 0; i < 100; ++i) sum = sum + (unsigned)syscall(SYS_getpid);
      break;
    case kHail:
      pthread_kill(threads[kHailed], SIGUSR1);
      break;
    case kVfork:
      spawn();
      break;
    case kKinds:
      break;
  }
}

static void* run(void* argument) {
  enum kind kind = (enum kind)(long)argument;
  for (;;) {
    turn(kind);
    ++turns[kind];
  }
  return NULL;
}

// Every thread turns at least once more.
static void until_all_turn(void) {
  unsigned long before[kKinds];
  for (int i = 0; i < kKinds; ++i) before[i] = turns[i];
  for (int i = 0; i < kKinds; ++i)
    while (turns[i] == before[i]) usleep(1000);
}

int main(void) {
  struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
  if (sigaction(SIGUSR1, &action, NULL) != 0) give_up("sigaction");
  action.sa_handler = stay;
  if (sigaction(SIGUSR2, &action, NULL) != 0 || pipe(channel) != 0) give_up("pipe");
  for (long i = 0; i < kKinds; ++i)
    if (pthread_create(&threads[i], NULL, run, (void*)i) != 0) give_up("pthread_create");
  for (;;) {
    until_all_turn();
    puts("all turn");
    fflush(stdout);
  }
}
