// Threads blocked in reading an eventfd at 0 and writing one at its limit go on.
//
// flavours: all
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "check.h"

static int low, high;
static atomic_int tids[2];

static void* reader(void* unused) {
  (void)unused;
  uint64_t got;
  tids[0] = gettid();
  CHECK_EQ(read(low, &got, 8), 8);
  CHECK_EQ(got, 42);
  return NULL;
}

static void* writer(void* unused) {
  (void)unused;
  uint64_t value = 7;
  tids[1] = gettid();
  CHECK_EQ(write(high, &value, 8), 8);
  return NULL;
}

int main(void) {
  uint64_t value = 0xfffffffffffffffe;
  low = (int)CHECK_SYS(eventfd(0, 0));
  high = (int)CHECK_SYS(eventfd(0, 0));
  CHECK_EQ(write(high, &value, 8), 8);
  pthread_t threads[2];
  CHECK_OK(pthread_create(&threads[0], NULL, reader, NULL));
  CHECK_OK(pthread_create(&threads[1], NULL, writer, NULL));
  for (int i = 0; i < 2; ++i) {
    while (tids[i] == 0) check_sleep_ms(1);
    check_until_asleep(tids[i]);
  }
  check_ready();
  check_wait();
  value = 42;
  CHECK_EQ(write(low, &value, 8), 8);
  CHECK_OK(pthread_join(threads[0], NULL));
  CHECK_EQ(read(high, &value, 8), 8);
  CHECK_EQ(value, 0xfffffffffffffffe);
  CHECK_OK(pthread_join(threads[1], NULL));
  CHECK_EQ(read(high, &value, 8), 8);
  CHECK_EQ(value, 7);
  check_pass();
}
