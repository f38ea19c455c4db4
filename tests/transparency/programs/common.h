// What the C programs here share: loud death, and waiting for a thread to block instead of sleeping.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MUST(call)                                                                       \
  ({                                                                                     \
    long must_result = (long)(call);                                                     \
    if (must_result == -1) {                                                             \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, strerrorname_np(errno)); \
      _exit(99);                                                                         \
    }                                                                                    \
    must_result;                                                                         \
  })

static inline const char* errno_name(int number) { return number ? strerrorname_np(number) : "0"; }

static inline char thread_state(pid_t pid, pid_t tid) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return 0;
  text[length] = 0;
  char* end = strrchr(text, ')');
  return end ? end[2] : 0;
}

// Returns when the thread sleeps in the kernel, seen twice in a row so that a short lock wait on the
// way into the call is not taken for the call.
static inline void wait_until_asleep(pid_t pid, pid_t tid) {
  for (int seen = 0; seen < 3;) {
    char state = thread_state(pid, tid);
    if (!state) return;
    seen = state == 'S' ? seen + 1 : 0;
    struct timespec pause = {0, 2000000};
    nanosleep(&pause, NULL);
  }
}

static inline void print_status(const char* what, int status) {
  if (WIFEXITED(status))
    printf("%s: exit %d\n", what, WEXITSTATUS(status));
  else if (WIFSIGNALED(status))
    printf("%s: killed by SIG%s%s\n", what, sigabbrev_np(WTERMSIG(status)) ?: "RT",
           WCOREDUMP(status) ? " (core)" : "");
  else if (WIFSTOPPED(status))
    printf("%s: stopped by SIG%s\n", what, sigabbrev_np(WSTOPSIG(status)) ?: "RT");
  else
    printf("%s: continued\n", what);
}
