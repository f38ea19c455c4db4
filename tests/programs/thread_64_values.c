// 64 threads keep their own thread-local variables, thread-specific data and stack bytes.
//
// flavours: all
#include <pthread.h>
#include <unistd.h>

#include "check.h"

enum { kThreads = 64 };
static __thread uint64_t local = 0x1234;
static __thread char large[8192];
static pthread_key_t key;
static pthread_barrier_t ready, released;
static int destroyed[kThreads];

static void on_exit_of_thread(void* value) {
  __atomic_fetch_add(&destroyed[(intptr_t)value - 1], 1, __ATOMIC_SEQ_CST);
}

static void* run(void* argument) {
  intptr_t index = (intptr_t)argument;
  char stack[4096];
  CHECK_EQ(local, 0x1234);
  local = 1000 + (uint64_t)index;
  check_fill(large, sizeof large, (uint64_t)index);
  check_fill(stack, sizeof stack, (uint64_t)index + 500);
  CHECK_OK(pthread_setspecific(key, (void*)(index + 1)));
  uint64_t* address = &local;
  pid_t tid = gettid();
  errno = (int)index;
  int* errno_at = &errno;
  pthread_barrier_wait(&ready);
  pthread_barrier_wait(&released);
  CHECK(&local == address && &errno == errno_at);
  CHECK_EQ(local, 1000 + index);
  CHECK_BYTES(large, sizeof large, (uint64_t)index);
  CHECK_BYTES(stack, sizeof stack, (uint64_t)index + 500);
  CHECK_EQ((intptr_t)pthread_getspecific(key), index + 1);
  CHECK_EQ(gettid(), tid);
  return NULL;
}

int main(void) {
  pthread_t threads[kThreads];
  CHECK_OK(pthread_key_create(&key, on_exit_of_thread));
  CHECK_OK(pthread_barrier_init(&ready, NULL, kThreads + 1));
  CHECK_OK(pthread_barrier_init(&released, NULL, kThreads + 1));
  for (intptr_t i = 0; i < kThreads; ++i)
    CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)i));
  pthread_barrier_wait(&ready);
  check_ready();
  check_wait();
  pthread_barrier_wait(&released);
  for (int i = 0; i < kThreads; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  for (int i = 0; i < kThreads; ++i) CHECK_EQ(destroyed[i], 1);
  check_pass();
}
