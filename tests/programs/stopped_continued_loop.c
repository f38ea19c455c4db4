// A process that stops and continues another one, and its own child, at a high rate while checkpoints
// are taken: each stop is one status, each continuation another, and in between the child computes.
// flavours: all
// unsteady: everything because its processes stop and go on all the time

#include <sys/mman.h>

#include "lib/stopped.h"

typedef struct {
  volatile uint64_t count, rounds;
  volatile int end;
} shared;

static shared* common;

static void compute(void) {
  for (;;) ++common->count;
}

// Each step is waited for, so none may be lost or seen twice.
static void stop_and_continue(pid_t pid) {
  int status = 0;
  CHECK_SYS(kill(pid, SIGSTOP));
  check_stop_told_once(pid, SIGSTOP);
  CHECK_EQ(check_state(pid, pid), 'T');
  const uint64_t count = common->count;
  for (int i = 0; i < 20; ++i) CHECK_EQ(waitpid(pid, &status, WUNTRACED | WNOHANG), 0);
  CHECK_EQ(common->count, count);
  check_continue(pid);
  while (common->count == count) {
  }
}

static void loop(void) {
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) compute();
  while (!common->end) {
    stop_and_continue(pid);
    ++common->rounds;
  }
  int status = 0;
  CHECK_SYS(kill(pid, SIGKILL));
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, SIGKILL);
  _exit(0);
}

int main(void) {
  common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(common != MAP_FAILED);
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) loop();
  while (common->rounds < 3) check_sleep_ms(1);
  check_ready();
  while (check_busy()) check_sleep_ms(1);
  check_wait();
  const uint64_t rounds = common->rounds;
  while (common->rounds < rounds + 3) check_sleep_ms(1);
  common->end = 1;
  int status = 0;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  check_pass();
}
