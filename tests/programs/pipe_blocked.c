// Threads blocked in reading an empty pipe and writing a full one go on with every byte in place.
//
// flavours: all
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"

enum { kBytes = 300000 };
static int empty[2], full[2];
static atomic_int tids[2];
static char sent[kBytes], received[kBytes];

static void* reader(void* unused) {
  (void)unused;
  char bytes[10];
  tids[0] = gettid();
  CHECK_EQ(read(empty[0], bytes, 10), 5);
  CHECK(memcmp(bytes, "hello", 5) == 0);
  return NULL;
}

static void* writer(void* unused) {
  (void)unused;
  tids[1] = gettid();
  CHECK_EQ(write(full[1], sent, kBytes), kBytes);  // several capacities in one call
  return NULL;
}

int main(void) {
  pthread_t threads[2];
  CHECK_SYS(pipe(empty));
  CHECK_SYS(pipe(full));
  check_fill(sent, kBytes, 90);
  CHECK_OK(pthread_create(&threads[0], NULL, reader, NULL));
  CHECK_OK(pthread_create(&threads[1], NULL, writer, NULL));
  for (int i = 0; i < 2; ++i) {
    while (tids[i] == 0) check_sleep_ms(1);
    check_until_asleep(tids[i]);
  }
  check_ready();
  check_wait();
  CHECK_EQ(write(empty[1], "hello", 5), 5);
  CHECK_OK(pthread_join(threads[0], NULL));
  size_t got = 0;
  while (got < kBytes) got += (size_t)CHECK_SYS(read(full[0], received + got, kBytes - got));
  CHECK_OK(pthread_join(threads[1], NULL));
  CHECK_BYTES(received, kBytes, 90);
  check_pass();
}
