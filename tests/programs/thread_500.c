// 500 threads wait on one condition variable and all go on, each once.
//
// flavours: all
#include <pthread.h>

#include "check.h"

enum { kThreads = 500 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER, go = PTHREAD_COND_INITIALIZER;
static int waiting, open_gate, passed;

static void* run(void* unused) {
  (void)unused;
  CHECK_OK(pthread_mutex_lock(&lock));
  ++waiting;
  CHECK_OK(pthread_cond_signal(&arrived));
  while (!open_gate) CHECK_OK(pthread_cond_wait(&go, &lock));
  ++passed;
  CHECK_OK(pthread_mutex_unlock(&lock));
  return NULL;
}

int main(void) {
  static pthread_t threads[kThreads];
  pthread_attr_t small;
  CHECK_OK(pthread_attr_init(&small));
  CHECK_OK(pthread_attr_setstacksize(&small, 64 * 1024));
  for (int i = 0; i < kThreads; ++i) CHECK_OK(pthread_create(&threads[i], &small, run, NULL));
  CHECK_OK(pthread_mutex_lock(&lock));
  while (waiting < kThreads) CHECK_OK(pthread_cond_wait(&arrived, &lock));
  CHECK_OK(pthread_mutex_unlock(&lock));
  check_ready();
  check_wait();
  CHECK_OK(pthread_mutex_lock(&lock));
  open_gate = 1;
  CHECK_OK(pthread_cond_broadcast(&go));
  CHECK_OK(pthread_mutex_unlock(&lock));
  for (int i = 0; i < kThreads; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  CHECK_EQ(passed, kThreads);
  check_pass();
}
