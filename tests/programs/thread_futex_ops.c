// Bare futexes: waiters by bit set are woken by their bits, requeued ones at their new address, and
// FUTEX_WAKE counts them exactly.
//
// flavours: all
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static atomic_int word, other, tids[6], woken[6];

static long futex(atomic_int* at, int operation, int value, void* four, void* five, int six) {
  return syscall(SYS_futex, at, operation | FUTEX_PRIVATE_FLAG, value, four, five, six);
}

static void* run(void* argument) {
  int index = (int)(intptr_t)argument;
  tids[index] = gettid();
  long result = index < 3 ? futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 1 << index)
                          : futex(&other, FUTEX_WAIT, 0, NULL, NULL, 0);
  if (result != 0) check_fail(__FILE__, __LINE__, "waiter %d: %s", index, strerror(errno));
  woken[index] = 1;
  return NULL;
}

int main(void) {
  pthread_t threads[6];
  for (intptr_t i = 0; i < 6; ++i) CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)i));
  for (int i = 0; i < 6; ++i) {
    while (tids[i] == 0) check_sleep_ms(1);
    check_until_asleep(tids[i]);
  }
  check_ready();
  check_wait();
  for (int i = 0; i < 6; ++i) CHECK_EQ(woken[i], 0);
  CHECK_EQ(futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0), -1);  // another value: at once
  CHECK_EQ(errno, EAGAIN);
  CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET, 100, NULL, NULL, 1 << 1), 1);
  CHECK_OK(pthread_join(threads[1], NULL));
  CHECK_EQ(woken[0] + woken[2], 0);
  // Of the three at `other` one is woken, one moves to `word`.
  CHECK_EQ(futex(&other, FUTEX_CMP_REQUEUE, 1, (void*)1, &word, 0), 2);
  CHECK_EQ(futex(&other, FUTEX_WAKE, 100, NULL, NULL, 0), 1);
  CHECK_EQ(futex(&word, FUTEX_WAKE, 100, NULL, NULL, 0), 3);
  for (int i = 0; i < 6; ++i)
    if (i != 1) CHECK_OK(pthread_join(threads[i], NULL));
  CHECK_EQ(futex(&word, FUTEX_WAKE, 100, NULL, NULL, 0), 0);
  check_pass();
}
