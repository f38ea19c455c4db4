// Four threads fight for one priority-inheriting mutex all the time; nobody is lost.
//
// flavours: all
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"

static pthread_mutex_t lock;
static atomic_int stop;
static long shared, turns[4];

static void* fight(void* argument) {
  long* mine = argument;
  while (!stop) {
    CHECK_OK(pthread_mutex_lock(&lock));
    long seen = shared;
    for (volatile int i = 0; i < 20; ++i) {
    }
    shared = seen + 1;
    ++*mine;
    CHECK_OK(pthread_mutex_unlock(&lock));
    if (*mine % 64 == 0) check_sleep_ms(1);
  }
  return NULL;
}

int main(void) {
  pthread_mutexattr_t attributes;
  CHECK_OK(pthread_mutexattr_init(&attributes));
  CHECK_OK(pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT));
  CHECK_OK(pthread_mutex_init(&lock, &attributes));
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i) CHECK_OK(pthread_create(&threads[i], NULL, fight, &turns[i]));
  check_ready();
  check_wait();
  stop = 1;
  for (int i = 0; i < 4; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  CHECK_EQ(shared, turns[0] + turns[1] + turns[2] + turns[3]);
  check_pass();
}
