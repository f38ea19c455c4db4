// A read-write lock held by three readers with a writer waiting, and one held by a writer with
// readers waiting, go on in order.
//
// flavours: all
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"

static pthread_rwlock_t read_held = PTHREAD_RWLOCK_INITIALIZER,
                        write_held = PTHREAD_RWLOCK_INITIALIZER;
static atomic_int writer_tid, reader_tid, written, read_value;

static void* writer(void* unused) {
  (void)unused;
  writer_tid = gettid();
  CHECK_OK(pthread_rwlock_wrlock(&read_held));
  written = 1;
  CHECK_OK(pthread_rwlock_unlock(&read_held));
  return NULL;
}

static int value;

static void* reader(void* unused) {
  (void)unused;
  reader_tid = gettid();
  CHECK_OK(pthread_rwlock_rdlock(&write_held));
  read_value = value;
  CHECK_OK(pthread_rwlock_unlock(&write_held));
  return NULL;
}

int main(void) {
  pthread_t first, second;
  for (int i = 0; i < 3; ++i) CHECK_OK(pthread_rwlock_rdlock(&read_held));
  CHECK_OK(pthread_rwlock_wrlock(&write_held));
  CHECK_OK(pthread_create(&first, NULL, writer, NULL));
  CHECK_OK(pthread_create(&second, NULL, reader, NULL));
  while (writer_tid == 0 || reader_tid == 0) check_sleep_ms(1);
  check_until_asleep(writer_tid);
  check_until_asleep(reader_tid);
  check_ready();
  check_wait();
  CHECK_EQ(pthread_rwlock_trywrlock(&read_held), EBUSY);
  CHECK_EQ(pthread_rwlock_tryrdlock(&write_held), EBUSY);
  CHECK_EQ(pthread_rwlock_wrlock(&write_held), EDEADLK);
  for (int i = 0; i < 3; ++i) {
    CHECK_EQ(written, 0);
    CHECK_OK(pthread_rwlock_unlock(&read_held));
  }
  CHECK_OK(pthread_join(first, NULL));
  CHECK_EQ(written, 1);
  value = 5;
  CHECK_OK(pthread_rwlock_unlock(&write_held));
  CHECK_OK(pthread_join(second, NULL));
  CHECK_EQ(read_value, 5);
  CHECK_OK(pthread_rwlock_trywrlock(&write_held));
  check_pass();
}
