// CPU time of the process, of each thread, and of children that have ended does not go back:
// CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, clock(), times(), getrusage().
//
// flavours: all
// not: busy because a checkpoint of a tree of processes is refused for now
#include <pthread.h>
#include <sys/resource.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static pthread_barrier_t ready, released;

static void burn(clockid_t clock, int64_t nanoseconds) {
  int64_t start = check_nanoseconds(clock);
  while (check_nanoseconds(clock) - start < nanoseconds) {
  }
}

static int64_t microseconds(struct timeval at) {
  return at.tv_sec * INT64_C(1000000) + at.tv_usec;
}

static void* run(void* unused) {
  (void)unused;
  struct rusage before, after;
  burn(CLOCK_THREAD_CPUTIME_ID, 50000000);
  int64_t mine = check_nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  CHECK_SYS(getrusage(RUSAGE_THREAD, &before));
  pthread_barrier_wait(&ready);
  pthread_barrier_wait(&released);
  CHECK(check_nanoseconds(CLOCK_THREAD_CPUTIME_ID) >= mine);
  CHECK_SYS(getrusage(RUSAGE_THREAD, &after));
  CHECK(microseconds(after.ru_utime) + microseconds(after.ru_stime) >=
        microseconds(before.ru_utime) + microseconds(before.ru_stime));
  burn(CLOCK_THREAD_CPUTIME_ID, 1000000);
  return NULL;
}

int main(void) {
  pthread_t thread;
  clockid_t other;
  struct rusage before, after, child_before, child_after;
  struct tms times_before, times_after;
  pid_t child = (pid_t)CHECK_SYS(fork());
  if (child == 0) {
    burn(CLOCK_PROCESS_CPUTIME_ID, 60000000);
    _exit(0);
  }
  CHECK_EQ(waitpid(child, NULL, 0), child);
  CHECK_OK(pthread_barrier_init(&ready, NULL, 2));
  CHECK_OK(pthread_barrier_init(&released, NULL, 2));
  CHECK_OK(pthread_create(&thread, NULL, run, NULL));
  pthread_barrier_wait(&ready);
  CHECK_OK(pthread_getcpuclockid(thread, &other));
  burn(CLOCK_PROCESS_CPUTIME_ID, 100000000);
  int64_t process = check_nanoseconds(CLOCK_PROCESS_CPUTIME_ID),
          main_thread = check_nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  int64_t other_thread = check_nanoseconds(other);
  clock_t ticks = clock();
  CHECK_SYS(getrusage(RUSAGE_SELF, &before));
  CHECK_SYS(getrusage(RUSAGE_CHILDREN, &child_before));
  times(&times_before);
  CHECK(microseconds(child_before.ru_utime) + microseconds(child_before.ru_stime) > 30000);
  check_ready();
  check_wait();
  CHECK(check_nanoseconds(CLOCK_PROCESS_CPUTIME_ID) >= process);
  CHECK(check_nanoseconds(CLOCK_THREAD_CPUTIME_ID) >= main_thread);
  CHECK(check_nanoseconds(other) >= other_thread);
  CHECK(clock() >= ticks);
  CHECK_SYS(getrusage(RUSAGE_SELF, &after));
  CHECK(microseconds(after.ru_utime) + microseconds(after.ru_stime) >=
        microseconds(before.ru_utime) + microseconds(before.ru_stime));
  CHECK_SYS(getrusage(RUSAGE_CHILDREN, &child_after));
  CHECK(microseconds(child_after.ru_utime) >= microseconds(child_before.ru_utime));
  CHECK(microseconds(child_after.ru_stime) >= microseconds(child_before.ru_stime));
  times(&times_after);
  CHECK(times_after.tms_utime + times_after.tms_stime >=
        times_before.tms_utime + times_before.tms_stime);
  CHECK(times_after.tms_cutime + times_after.tms_cstime >=
        times_before.tms_cutime + times_before.tms_cstime);
  pthread_barrier_wait(&released);
  CHECK_OK(pthread_join(thread, NULL));
  check_pass();
}
