// A thread that ends while it holds robust mutexes, locked before the checkpoint, leaves
// EOWNERDEAD.
//
// flavours: all
#include <pthread.h>
#include <semaphore.h>

#include "check.h"

static pthread_mutex_t held[3];
static sem_t locked, go;

static void* owner(void* unused) {
  (void)unused;
  for (int i = 0; i < 3; ++i) CHECK_OK(pthread_mutex_lock(&held[i]));
  sem_post(&locked);
  while (sem_wait(&go) != 0) CHECK_EQ(errno, EINTR);
  CHECK_OK(pthread_mutex_unlock(&held[1]));
  return NULL;  // 0 and 2 are still locked
}

static void* waiter(void* unused) {
  (void)unused;
  CHECK_EQ(pthread_mutex_lock(&held[2]), EOWNERDEAD);
  CHECK_OK(pthread_mutex_consistent(&held[2]));
  CHECK_OK(pthread_mutex_unlock(&held[2]));
  return NULL;
}

int main(void) {
  pthread_mutexattr_t robust;
  CHECK_OK(pthread_mutexattr_init(&robust));
  CHECK_OK(pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST));
  for (int i = 0; i < 3; ++i) CHECK_OK(pthread_mutex_init(&held[i], &robust));
  CHECK_SYS(sem_init(&locked, 0, 0));
  CHECK_SYS(sem_init(&go, 0, 0));
  pthread_t first, second;
  CHECK_OK(pthread_create(&first, NULL, owner, NULL));
  while (sem_wait(&locked) != 0) CHECK_EQ(errno, EINTR);
  CHECK_OK(pthread_create(&second, NULL, waiter, NULL));
  check_ready();
  check_wait();
  CHECK_EQ(pthread_mutex_trylock(&held[0]), EBUSY);
  CHECK_SYS(sem_post(&go));
  CHECK_OK(pthread_join(first, NULL));
  CHECK_OK(pthread_join(second, NULL));
  CHECK_EQ(pthread_mutex_lock(&held[0]), EOWNERDEAD);
  CHECK_OK(pthread_mutex_unlock(&held[0]));  // not made consistent: lost for ever
  CHECK_EQ(pthread_mutex_lock(&held[0]), ENOTRECOVERABLE);
  CHECK_OK(pthread_mutex_lock(&held[1]));
  check_pass();
}
