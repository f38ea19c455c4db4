// Semaphores keep their values 0, 1 and SEM_VALUE_MAX, and their waiters.
//
// flavours: all
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"

static sem_t zero, one, most;
static atomic_int tids[3], passed;

static void* run(void* argument) {
  atomic_int* tid = argument;
  *tid = gettid();
  while (sem_wait(&zero) != 0) CHECK_EQ(errno, 0);
  ++passed;
  return NULL;
}

int main(void) {
  pthread_t threads[3];
  CHECK_SYS(sem_init(&zero, 0, 0));
  CHECK_SYS(sem_init(&one, 0, 1));
  CHECK_SYS(sem_init(&most, 0, SEM_VALUE_MAX));
  for (int i = 0; i < 3; ++i) CHECK_OK(pthread_create(&threads[i], NULL, run, &tids[i]));
  for (int i = 0; i < 3; ++i) {
    while (tids[i] == 0) check_sleep_ms(1);
    check_until_asleep(tids[i]);
  }
  check_ready();
  check_wait();
  int value;
  CHECK_SYS(sem_getvalue(&one, &value));
  CHECK_EQ(value, 1);
  CHECK_SYS(sem_getvalue(&most, &value));
  CHECK_EQ(value, SEM_VALUE_MAX);
  CHECK_ERRNO(sem_post(&most), EOVERFLOW);
  CHECK_SYS(sem_wait(&one));
  CHECK_ERRNO(sem_trywait(&one), EAGAIN);
  CHECK_EQ(passed, 0);
  for (int i = 0; i < 3; ++i) CHECK_SYS(sem_post(&zero));
  for (int i = 0; i < 3; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  CHECK_ERRNO(sem_trywait(&zero), EAGAIN);
  check_pass();
}
