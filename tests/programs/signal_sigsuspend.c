// A thread in sigsuspend stays there, with the mask it gave, until its signal comes; then has its
// old mask again.
//
// flavours: all
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"

static atomic_int tid, handled, done;

static void on_signal(int number) {
  (void)number;
  sigset_t now;
  CHECK_SYS(sigprocmask(SIG_BLOCK, NULL, &now));
  CHECK_EQ(sigismember(&now, SIGUSR2), 1);  // of sigsuspend's mask
  CHECK_EQ(sigismember(&now, SIGTERM), 0);
  ++handled;
}

static void* run(void* unused) {
  (void)unused;
  sigset_t wait_mask, now;
  sigemptyset(&wait_mask);
  sigaddset(&wait_mask, SIGUSR2);
  tid = gettid();
  CHECK_ERRNO(sigsuspend(&wait_mask), EINTR);
  CHECK_OK(pthread_sigmask(SIG_BLOCK, NULL, &now));
  CHECK_EQ(sigismember(&now, SIGUSR1), 1);
  CHECK_EQ(sigismember(&now, SIGTERM), 1);
  CHECK_EQ(sigismember(&now, SIGUSR2), 0);
  done = 1;
  return NULL;
}

int main(void) {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR1);
  sigaddset(&mask, SIGTERM);
  CHECK_SYS(sigprocmask(SIG_BLOCK, &mask, NULL));
  struct sigaction action = {.sa_handler = on_signal};
  CHECK_SYS(sigaction(SIGUSR1, &action, NULL));
  pthread_t thread;
  CHECK_OK(pthread_create(&thread, NULL, run, NULL));
  while (tid == 0) check_sleep_ms(1);
  check_until_asleep(tid);
  check_ready();
  check_wait();
  CHECK_EQ(done, 0);
  CHECK_OK(pthread_kill(thread, SIGUSR1));
  CHECK_OK(pthread_join(thread, NULL));
  CHECK_EQ(handled, 1);
  check_pass();
}
