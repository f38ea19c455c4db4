// A stopped process whose first thread has ended before: the others are stopped, and go on.
// flavours: all

#include <pthread.h>
#include <sys/mman.h>

#include "lib/stopped.h"

enum { kThreads = 3 };

typedef struct {
  volatile pid_t tids[kThreads];
  volatile uint64_t counts[kThreads];
  volatile int end;
} shared;

static shared* common;

static void* work(void* argument) {
  const long index = (long)argument;
  common->tids[index] = gettid();
  while (!common->end) ++common->counts[index];
  return NULL;
}

static void child(void) {
  pthread_t thread;
  for (long i = 0; i < kThreads; ++i) CHECK_OK(pthread_create(&thread, NULL, work, (void*)i));
  pthread_exit(NULL);
}

static void check_stopped(pid_t pid) {
  CHECK_EQ(check_state(pid, pid), 'Z');
  for (int i = 0; i < kThreads; ++i) CHECK_EQ(check_state(pid, common->tids[i]), 'T');
}

int main(void) {
  common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(common != MAP_FAILED);
  check_count_notices();
  check_expect_eintr();
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) child();
  for (int i = 0; i < kThreads; ++i)
    while (common->counts[i] == 0) check_sleep_ms(1);
  check_until_state(pid, 'Z');
  CHECK_SYS(kill(pid, SIGSTOP));
  check_stop_told_once(pid, SIGSTOP);
  check_until_notices(1);
  uint64_t counts[kThreads];
  for (int i = 0; i < kThreads; ++i) counts[i] = common->counts[i];
  check_ready();
  while (check_busy()) check_stopped(pid);
  check_wait();
  check_stopped(pid);
  CHECK_EQ(check_notices, 1);
  for (int i = 0; i < kThreads; ++i) CHECK_EQ(common->counts[i], counts[i]);
  check_continue(pid);
  for (int i = 0; i < kThreads; ++i)
    while (common->counts[i] == counts[i]) check_sleep_ms(1);
  common->end = 1;
  int status = 0;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  check_pass();
}
