// A stopped process of five threads, some that compute and some inside calls: none of them moves while
// it is stopped, all of them go on after SIGCONT, and no call reports that it was interrupted.
// flavours: all

#include <pthread.h>
#include <sys/mman.h>

#include "lib/stopped.h"

enum { kThreads = 5 };

typedef struct {
  volatile uint64_t counts[kThreads];
  volatile int end;
} shared;

static shared* common;
static int gate[2];

static void* work(void* argument) {
  const long index = (long)argument;
  char byte;
  while (!common->end) {
    if (index % 2 == 1) {
      const struct timespec tick = {0, 2 * 1000 * 1000};
      if (nanosleep(&tick, NULL) != 0) _exit(40 + errno);
    }
    if (index == 4 && read(gate[0], &byte, 1) < 0) _exit(50 + errno);
    ++common->counts[index];
  }
  return NULL;
}

static void child(void) {
  pthread_t threads[kThreads];
  for (long i = 1; i < kThreads; ++i) CHECK_OK(pthread_create(&threads[i], NULL, work, (void*)i));
  work((void*)0);
  for (int i = 1; i < kThreads; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  _exit(0);
}

static void snapshot(uint64_t* counts) {
  for (int i = 0; i < kThreads; ++i) counts[i] = common->counts[i];
}

static void until_all_move(void) {
  uint64_t before[kThreads];
  snapshot(before);
  for (int i = 0; i < kThreads; ++i)
    while (common->counts[i] == before[i]) {
      if (i == 4) CHECK_EQ(write(gate[1], "x", 1), 1);
      check_sleep_ms(1);
    }
}

int main(void) {
  common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(common != MAP_FAILED);
  CHECK_SYS(pipe(gate));
  check_count_notices();
  check_expect_eintr();
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) child();
  until_all_move();
  CHECK_SYS(kill(pid, SIGSTOP));
  check_stop_told_once(pid, SIGSTOP);
  check_until_notices(1);
  uint64_t counts[kThreads], now[kThreads];
  snapshot(counts);
  check_ready();
  while (check_busy()) {
    snapshot(now);
    CHECK(memcmp(counts, now, sizeof now) == 0);
    CHECK_EQ(check_state(pid, pid), 'T');
  }
  check_wait();
  CHECK_EQ(check_state(pid, pid), 'T');
  snapshot(now);
  CHECK(memcmp(counts, now, sizeof now) == 0);
  CHECK_EQ(check_notices, 1);
  check_continue(pid);
  check_until_notices(2);
  until_all_move();
  common->end = 1;
  CHECK_EQ(write(gate[1], "x", 1), 1);
  int status = 0;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  CHECK_EQ(check_notices, 3);  // stopped, continued, ended
  check_pass();
}
