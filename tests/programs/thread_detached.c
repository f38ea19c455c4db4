// A detached thread goes on, and its end frees it: /proc/self/task shows one thread less.
//
// flavours: all
#include <dirent.h>
#include <pthread.h>
#include <semaphore.h>

#include "check.h"

static sem_t go, done;

static void* run(void* unused) {
  (void)unused;
  sem_wait(&go);
  sem_post(&done);
  return NULL;
}

static int threads(void) {
  return atoi(check_proc_field("/proc/self/status", "Threads:"));
}

int main(void) {
  CHECK_SYS(sem_init(&go, 0, 0));
  CHECK_SYS(sem_init(&done, 0, 0));
  int before = threads();
  pthread_attr_t detached;
  CHECK_OK(pthread_attr_init(&detached));
  CHECK_OK(pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED));
  pthread_t thread;
  CHECK_OK(pthread_create(&thread, &detached, run, NULL));
  check_ready();
  check_wait();
  CHECK_EQ(threads(), before + 1);
  CHECK_SYS(sem_post(&go));
  while (sem_wait(&done) != 0) CHECK_EQ(errno, EINTR);
  while (threads() != before) check_sleep_ms(1);
  check_pass();
}
