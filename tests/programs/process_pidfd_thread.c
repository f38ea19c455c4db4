// A pidfd of a thread that is not the first one (PIDFD_THREAD, Linux 6.9): it leads to that thread.
//
// flavours: all
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static sem_t g_go;
static volatile pid_t g_tid;
static volatile pid_t g_signalled;

static void handler(int signal) {
  (void)signal;
  g_signalled = (pid_t)syscall(SYS_gettid);
}

static void* body(void* unused) {
  g_tid = (pid_t)syscall(SYS_gettid);
  while (sem_wait(&g_go) != 0) {
  }
  return unused;
}

int main(void) {
  signal(SIGUSR1, handler);
  CHECK_SYS(sem_init(&g_go, 0, 0));
  pthread_t thread;
  CHECK_OK(pthread_create(&thread, NULL, body, NULL));
  while (g_tid == 0) check_sleep_ms(1);
  int fd = (int)syscall(SYS_pidfd_open, g_tid, O_EXCL);
  if (fd < 0 && errno == EINVAL) check_skip("this kernel has no pidfds of threads");
  CHECK_SYS(fd);
  check_ready();
  check_wait();
  CHECK_SYS(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 0));
  while (g_signalled == 0) check_sleep_ms(1);
  CHECK_EQ(g_signalled, g_tid);
  struct pollfd one = {.fd = fd, .events = POLLIN};
  CHECK_EQ(poll(&one, 1, 0), 0);
  CHECK_SYS(sem_post(&g_go));
  CHECK_OK(pthread_join(thread, NULL));
  CHECK_EQ(poll(&one, 1, -1), 1);
  check_pass();
}
