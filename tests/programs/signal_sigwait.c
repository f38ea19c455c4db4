// Threads in sigwait, sigwaitinfo and read of a signalfd stay blocked and get the value sent later.
//
// flavours: all
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "check.h"

static atomic_int tids[3];
static int fd;

static void* run(void* argument) {
  intptr_t index = (intptr_t)argument;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + (int)index);
  tids[index] = gettid();
  if (index == 0) {
    int number;
    CHECK_OK(sigwait(&set, &number));
    CHECK_EQ(number, SIGRTMIN);
  } else if (index == 1) {
    siginfo_t info;
    CHECK_EQ(CHECK_SYS(sigwaitinfo(&set, &info)), SIGRTMIN + 1);
    CHECK_EQ(info.si_value.sival_int, -5);
    CHECK_EQ(info.si_pid, getpid());
  } else {
    struct signalfd_siginfo info;
    CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
    CHECK_EQ(info.ssi_signo, SIGRTMIN + 2);
    CHECK_EQ(info.ssi_int, 77);
    CHECK_EQ(info.ssi_pid, getpid());
  }
  return NULL;
}

int main(void) {
  sigset_t set, third;
  sigemptyset(&set);
  sigemptyset(&third);
  for (int i = 0; i < 3; ++i) sigaddset(&set, SIGRTMIN + i);
  sigaddset(&third, SIGRTMIN + 2);
  CHECK_SYS(sigprocmask(SIG_BLOCK, &set, NULL));
  fd = (int)CHECK_SYS(signalfd(-1, &third, SFD_CLOEXEC));
  pthread_t threads[3];
  for (intptr_t i = 0; i < 3; ++i) {
    CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)i));
    while (tids[i] == 0) check_sleep_ms(1);
    check_until_asleep(tids[i]);
  }
  check_ready();
  check_wait();
  const int values[] = {1, -5, 77};
  for (int i = 0; i < 3; ++i) {
    union sigval value = {.sival_int = values[i]};
    CHECK_SYS(sigqueue(getpid(), SIGRTMIN + i, value));
  }
  for (int i = 0; i < 3; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  check_pass();
}
