// Clocks: vDSO and system call agree, nothing runs backwards, errors are the kernel's.
#include "common.h"
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>

static double seconds(struct timespec t) { return (double)t.tv_sec + (double)t.tv_nsec / 1e9; }
static long backwards;
static void* watch(void* unused) {
  for (int clock = 0; clock < 8; clock++) {
    struct timespec last, now;
    clock_gettime(clock, &last);
    for (int n = 0; n < 30000; n++) {
      if (n % 2) clock_gettime(clock, &now);
      else syscall(SYS_clock_gettime, clock, &now);
      // COARSE clocks are compared with themselves only, so no tolerance is needed.
      if (seconds(now) < seconds(last)) __atomic_add_fetch(&backwards, 1, __ATOMIC_RELAXED);
      last = now;
    }
  }
  return unused;
}

int main(void) {
  pthread_t threads[3];
  for (int n = 0; n < 3; n++) pthread_create(&threads[n], NULL, watch, NULL);
  for (int n = 0; n < 3; n++) pthread_join(threads[n], NULL);
  printf("backwards: %ld\n", backwards);
  for (int clock = 0; clock < 13; clock++) {
    struct timespec a, b, resolution;
    int failed = clock_gettime(clock, &a), again = syscall(SYS_clock_gettime, clock, &b);
    clock_getres(clock, &resolution);
    printf("clock %d: %d %d, %s, resolution %ld\n", clock, failed, again,
           failed || seconds(b) - seconds(a) < 5 ? "agree" : "DIFFER", failed ? 0 : resolution.tv_nsec);
  }
  struct timeval tv;
  gettimeofday(&tv, NULL);
  time_t now = time(NULL);
  printf("gettimeofday and time: %s\n", labs(now - tv.tv_sec) < 3 ? "agree" : "DIFFER");
  unsigned cpu, node;
  printf("getcpu: %d, sched_getcpu %s\n", getcpu(&cpu, &node), sched_getcpu() >= 0 ? "fine" : "WRONG");
  clockid_t own;
  struct timespec used;
  printf("own cpu clock: %d %d\n", clock_getcpuclockid(getpid(), &own), clock_gettime(own, &used));
  pthread_getcpuclockid(pthread_self(), &own);
  printf("thread cpu clock: %d\n", clock_gettime(own, &used));
  struct tms tms;
  struct rusage usage;
  printf("times %s, getrusage %d\n", times(&tms) != -1 && tms.tms_utime >= 0 ? "fine" : "WRONG", getrusage(RUSAGE_SELF, &usage));
  printf("bad clock: %s\n", clock_gettime(77, &used) ? errno_name(errno) : "worked");
  printf("bad address: %s\n", syscall(SYS_clock_gettime, 1, 8L) ? errno_name(errno) : "worked");
  struct timespec wrong = {0, 1000000000};
  printf("bad interval: %s\n", nanosleep(&wrong, NULL) ? errno_name(errno) : "worked");
  return 0;
}
