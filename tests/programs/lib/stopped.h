#pragma once
// What programs about stopped children share: the state as /proc has it, and a count of SIGCHLD.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static volatile sig_atomic_t check_notices;

static inline void check_on_notice(int signal) {
  (void)signal, ++check_notices;
}

// The handler lets no call of the parent be interrupted, so an EINTR would be a fault.
static inline void check_count_notices(void) {
  const struct sigaction action = {.sa_handler = check_on_notice, .sa_flags = SA_RESTART};
  CHECK_SYS(sigaction(SIGCHLD, &action, NULL));
}

// A stop and a continuation may be found by wait a moment before their SIGCHLD is sent, and two of these
// that are pending at a time are one.
static inline void check_until_notices(int count) {
  while (check_notices < count) check_sleep_ms(1);
  CHECK_EQ(check_notices, count);
}

static inline char check_state(pid_t process, pid_t thread) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)process, (int)thread);
  FILE* file = fopen(path, "re");
  CHECK(file != NULL);
  CHECK(fgets(text, sizeof text, file) != NULL);
  fclose(file);
  const char* state = strrchr(text, ')');
  CHECK(state != NULL);
  return state[2];
}

static inline void check_until_state(pid_t child, char state) {
  while (check_state(child, child) != state) check_sleep_ms(1);
}

// One wait finds the stop, by this signal; there is no other one.
static inline void check_stop_told_once(pid_t child, int signal) {
  int status = 0;
  CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
  CHECK(WIFSTOPPED(status));
  CHECK_EQ(WSTOPSIG(status), signal);
  CHECK_EQ(waitpid(child, &status, WUNTRACED | WNOHANG), 0);
}

static inline void check_continue(pid_t child) {
  int status = 0;
  CHECK_SYS(kill(child, SIGCONT));
  CHECK_EQ(waitpid(child, &status, WCONTINUED), child);
  CHECK(WIFCONTINUED(status));
}
