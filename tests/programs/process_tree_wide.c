// 64 processes of 4 threads each: all of them meet again at a barrier that they share, and every
// thread still knows who it is.
// flavours: control resume restart

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/check.h"

enum { kProcesses = 64, kThreads = 4 };

typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  int go, ready, passed;
  long sum;
} meeting;

static meeting* all;
static int place;

static void* attend(void* argument) {
  const long number = place * kThreads + (long)argument;
  const pid_t tid = (pid_t)syscall(SYS_gettid), pid = getpid();
  volatile long kept[64];
  for (int i = 0; i < 64; ++i) kept[i] = number * 1000 + i;
  CHECK_OK(pthread_mutex_lock(&all->lock));
  if (++all->ready == kProcesses * kThreads) CHECK_OK(pthread_cond_broadcast(&all->changed));
  while (!all->go) CHECK_OK(pthread_cond_wait(&all->changed, &all->lock));
  all->sum += number;
  if (++all->passed == kProcesses * kThreads) CHECK_OK(pthread_cond_broadcast(&all->changed));
  CHECK_OK(pthread_mutex_unlock(&all->lock));
  for (int i = 0; i < 64; ++i) CHECK_EQ(kept[i], number * 1000 + i);
  CHECK_EQ(syscall(SYS_gettid), tid);
  CHECK_EQ(getpid(), pid);
  return NULL;
}

static void start(pthread_t* threads) {
  for (long i = 0; i < kThreads; ++i)
    CHECK_OK(pthread_create(&threads[i], NULL, attend, (void*)i));
}

static void finish(pthread_t* threads) {
  for (int i = 0; i < kThreads; ++i) CHECK_OK(pthread_join(threads[i], NULL));
}

int main(void) {
  pthread_mutexattr_t mutex;
  pthread_condattr_t condition;
  pthread_t threads[kThreads];
  pid_t children[kProcesses] = {0};
  all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(all != MAP_FAILED);
  CHECK_OK(pthread_mutexattr_init(&mutex));
  CHECK_OK(pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED));
  CHECK_OK(pthread_mutex_init(&all->lock, &mutex));
  CHECK_OK(pthread_condattr_init(&condition));
  CHECK_OK(pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED));
  CHECK_OK(pthread_cond_init(&all->changed, &condition));
  for (place = 1; place < kProcesses; ++place) {
    children[place] = (pid_t)CHECK_SYS(fork());
    if (children[place] != 0) continue;
    start(threads);
    finish(threads);
    _exit(place);
  }
  place = 0;
  start(threads);
  CHECK_OK(pthread_mutex_lock(&all->lock));
  while (all->ready < kProcesses * kThreads)
    CHECK_OK(pthread_cond_wait(&all->changed, &all->lock));
  CHECK_OK(pthread_mutex_unlock(&all->lock));
  check_ready();
  check_wait();
  CHECK_OK(pthread_mutex_lock(&all->lock));
  all->go = 1;
  CHECK_OK(pthread_cond_broadcast(&all->changed));
  while (all->passed < kProcesses * kThreads)
    CHECK_OK(pthread_cond_wait(&all->changed, &all->lock));
  const long sum = all->sum;
  CHECK_OK(pthread_mutex_unlock(&all->lock));
  finish(threads);
  CHECK_EQ(sum, (long)kProcesses * kThreads * (kProcesses * kThreads - 1) / 2);
  for (int i = 1; i < kProcesses; ++i) {
    int status = 0;
    CHECK_EQ(waitpid(children[i], &status, 0), children[i]);
    CHECK_EQ(status, i << 8);
  }
  check_pass();
}
