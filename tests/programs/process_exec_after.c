// After a restart the program execs itself: ids, groups, clocks and CPU times go on, also in a child
// that execs, and a child knows its parent by the number that it had before.
//
// flavours: all
// not: busy because a checkpoint of a tree of processes is refused for now
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static volatile sig_atomic_t caught;

static void on_signal(int number) {
  (void)number, caught = 1;
}

static long long number(const char* text) {
  return strtoll(text, NULL, 10);
}

static int64_t cpu_time(int who) {
  struct rusage usage;
  CHECK_SYS(getrusage(who, &usage));
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) + usage.ru_utime.tv_usec +
         usage.ru_stime.tv_usec;
}

static void burn(int64_t nanoseconds) {
  int64_t begin = check_nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
  while (check_nanoseconds(CLOCK_PROCESS_CPUTIME_ID) < begin + nanoseconds) {
  }
}

static void of_child(char** arguments, pid_t parent) {
  char line[32];
  CHECK_EQ(getppid(), parent);
  CHECK(getpid() != parent);
  CHECK_EQ(atoi(check_proc_field("/proc/self/status", "PPid:")), parent);
  CHECK(check_nanoseconds(CLOCK_PROCESS_CPUTIME_ID) < INT64_C(100000000));  // it has just begun
  snprintf(line, sizeof line, "%d", parent);
  execl(arguments[0], arguments[0], "child", line, (char*)NULL);
  _exit(1);
}

static void children(char** arguments) {
  signal(SIGUSR1, on_signal);
  pid_t me = getpid(), child = (pid_t)CHECK_SYS(fork());
  if (child == 0) of_child(arguments, me);
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  CHECK_EQ(caught, 1);
}

int main(int argc, char** argv) {
  if (argc == 3) {  // the child, behind its own exec
    CHECK_EQ(getppid(), number(argv[2]));
    CHECK_EQ(getpgrp(), getpgid((pid_t)number(argv[2])));
    CHECK_SYS(kill(getppid(), SIGUSR1));
    return 0;
  }
  if (argc == 9) {  // the program, behind its exec
    CHECK_EQ(getpid(), number(argv[1]));
    CHECK_EQ(getppid(), number(argv[2]));
    CHECK_EQ(getpgrp(), number(argv[3]));
    CHECK_EQ(getsid(0), number(argv[4]));
    CHECK_EQ(gettid(), number(argv[1]));
    CHECK(check_nanoseconds(CLOCK_MONOTONIC) >= number(argv[5]));
    CHECK(check_nanoseconds(CLOCK_PROCESS_CPUTIME_ID) >= number(argv[6]));
    CHECK(cpu_time(RUSAGE_SELF) >= number(argv[7]));
    CHECK(cpu_time(RUSAGE_CHILDREN) >= number(argv[8]));
    CHECK_EQ(atoi(check_proc_field("/proc/self/status", "Pid:")), getpid());
    children(argv);
    check_pass();
  }
  children(argv);
  caught = 0;
  burn(200000000);
  check_ready();
  check_wait();
  children(argv);
  static char text[8][32];
  const long long values[] = {getpid(), getppid(), getpgrp(), getsid(0), check_nanoseconds(CLOCK_MONOTONIC),
                              check_nanoseconds(CLOCK_PROCESS_CPUTIME_ID), cpu_time(RUSAGE_SELF),
                              cpu_time(RUSAGE_CHILDREN)};
  for (int i = 0; i < 8; ++i) snprintf(text[i], sizeof text[i], "%lld", values[i]);
  execl(argv[0], argv[0], text[0], text[1], text[2], text[3], text[4], text[5], text[6], text[7],
        (char*)NULL);
  check_fail(__FILE__, __LINE__, "exec: %s", strerror(errno));
}
