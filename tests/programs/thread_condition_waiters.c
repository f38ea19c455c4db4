// Waiters of a condition variable stay waiting; signal wakes one, broadcast the rest.
//
// flavours: all
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"

enum { kThreads = 8 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static atomic_int tids[kThreads];
static int tokens, taken;

static void* run(void* argument) {
  atomic_int* tid = argument;
  CHECK_OK(pthread_mutex_lock(&lock));
  *tid = gettid();
  while (tokens == 0) CHECK_OK(pthread_cond_wait(&condition, &lock));
  --tokens;
  ++taken;
  CHECK_OK(pthread_mutex_unlock(&lock));
  return NULL;
}

static int taken_now(void) {
  pthread_mutex_lock(&lock);
  int now = taken;
  pthread_mutex_unlock(&lock);
  return now;
}

int main(void) {
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; ++i) CHECK_OK(pthread_create(&threads[i], NULL, run, &tids[i]));
  for (int i = 0; i < kThreads; ++i) {
    while (tids[i] == 0) check_sleep_ms(1);
    check_until_asleep(tids[i]);
  }
  check_ready();
  check_wait();
  CHECK_EQ(taken_now(), 0);
  CHECK_OK(pthread_mutex_lock(&lock));
  tokens = 1;
  CHECK_OK(pthread_cond_signal(&condition));
  CHECK_OK(pthread_mutex_unlock(&lock));
  while (taken_now() != 1) check_sleep_ms(1);
  CHECK_OK(pthread_mutex_lock(&lock));
  tokens = kThreads - 1;
  CHECK_OK(pthread_cond_broadcast(&condition));
  CHECK_OK(pthread_mutex_unlock(&lock));
  for (int i = 0; i < kThreads; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  CHECK_EQ(taken, kThreads);
  check_pass();
}
