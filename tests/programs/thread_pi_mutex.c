// A priority-inheriting mutex that is held over the checkpoint, with three threads waiting for it,
// is handed on to each of them; its word holds a thread id that the kernel compares.
//
// flavours: all
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"

static pthread_mutex_t lock;
static atomic_int tids[3], order;

static void* waiter(void* argument) {
  atomic_int* tid = argument;
  *tid = gettid();
  CHECK_OK(pthread_mutex_lock(&lock));
  ++order;
  CHECK_OK(pthread_mutex_unlock(&lock));
  return NULL;
}

int main(void) {
  pthread_mutexattr_t attributes;
  CHECK_OK(pthread_mutexattr_init(&attributes));
  CHECK_OK(pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT));
  CHECK_OK(pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK));
  CHECK_OK(pthread_mutex_init(&lock, &attributes));
  pthread_t threads[3];
  CHECK_OK(pthread_mutex_lock(&lock));
  for (int i = 0; i < 3; ++i) CHECK_OK(pthread_create(&threads[i], NULL, waiter, &tids[i]));
  for (int i = 0; i < 3; ++i) {
    while (tids[i] == 0) check_sleep_ms(1);
    check_until_asleep(tids[i]);
  }
  check_ready();
  check_wait();
  CHECK_EQ(order, 0);
  CHECK_EQ(pthread_mutex_lock(&lock), EDEADLK);
  CHECK_OK(pthread_mutex_unlock(&lock));
  for (int i = 0; i < 3; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  CHECK_EQ(order, 3);
  CHECK_EQ(pthread_mutex_unlock(&lock), EPERM);
  for (int i = 0; i < 100; ++i) {
    CHECK_OK(pthread_mutex_lock(&lock));
    CHECK_OK(pthread_mutex_unlock(&lock));
  }
  check_pass();
}
