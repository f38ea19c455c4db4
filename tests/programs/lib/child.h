#pragma once
// A child of the program: it waits, asleep in read, until it is told to go on, does its part and
// ends. What it finds wrong is the program's result, and its exit status tells the parent.

#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

typedef struct {
  pid_t pid;
  int go;  // a byte written here is the order
} check_child;

// Spends no CPU until the process sleeps in the kernel.
static inline void check_until_child_asleep(pid_t pid) {
  char path[32];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  for (int seen = 0; seen < 3;) {  // asleep, and not only for a moment on the way
    check_sleep_ms(3);
    const char* state = strrchr(check_read_line(path), ')');
    CHECK(state != NULL);
    seen = state[2] == 'S' ? seen + 1 : 0;
  }
}

static inline check_child check_child_start(void (*body)(void)) {
  int order[2];
  CHECK_SYS(pipe(order));
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) {
    char byte;
    CHECK_SYS(close(order[1]));
    CHECK_EQ(read(order[0], &byte, 1), 1);
    body();
    _exit(0);
  }
  CHECK_SYS(close(order[0]));
  check_until_child_asleep(pid);
  return (check_child){pid, order[1]};
}

static inline void check_child_go(check_child child) {
  CHECK_EQ(write(child.go, "g", 1), 1);
}

static inline void check_child_end(check_child child) {
  int status = 0;
  CHECK_EQ(waitpid(child.pid, &status, 0), child.pid);
  CHECK_EQ(status, 0);
  CHECK_SYS(close(child.go));
}

static inline void check_child_finish(check_child child) {
  check_child_go(child);
  check_child_end(child);
}
