// A child that was stopped by SIGSTOP, as its parent has been told: it stays stopped, nobody is told
// again, signals that were sent to it wait, and SIGCONT sets it going where it was.
// flavours: all

#include <sys/mman.h>
#include <sys/syscall.h>

#include "lib/stopped.h"

typedef struct {
  volatile uint64_t count;
  volatile int values[4], got, others;
} shared;

static shared* common;

static void note_value(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  if (common->got < 4) common->values[common->got] = info->si_value.sival_int;
  ++common->got;
}

static void note_other(int signal) {
  (void)signal, ++common->others;
}

static void child(int gate) {
  const struct sigaction other = {.sa_handler = note_other};
  CHECK_SYS(sigaction(62, &other, NULL));
  const struct sigaction action = {.sa_sigaction = note_value, .sa_flags = SA_SIGINFO};
  CHECK_SYS(sigaction(SIGRTMIN + 3, &action, NULL));
  char byte;
  while (common->got < 3 || common->others < 2) ++common->count;
  CHECK_EQ(read(gate, &byte, 1), 1);
  _exit(7);
}

int main(void) {
  common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(common != MAP_FAILED);
  int gate[2], status = 0;
  CHECK_SYS(pipe(gate));
  check_count_notices();
  check_expect_eintr();
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) child(gate[0]);
  while (common->count == 0) check_sleep_ms(1);
  CHECK_SYS(kill(pid, SIGSTOP));
  check_stop_told_once(pid, SIGSTOP);
  check_until_notices(1);
  const uint64_t count = common->count;
  for (int i = 0; i < 3; ++i) {
    const union sigval value = {.sival_int = 10 + i};
    CHECK_SYS(sigqueue(pid, SIGRTMIN + 3, value));
  }
  for (int i = 0; i < 2; ++i) CHECK_SYS(syscall(SYS_tgkill, pid, pid, 62));  // the host's number, too
  check_ready();
  while (check_busy()) {
    CHECK_EQ(check_state(pid, pid), 'T');
    CHECK_EQ(waitpid(pid, &status, WUNTRACED | WCONTINUED | WNOHANG), 0);
  }
  check_wait();
  CHECK_EQ(check_state(pid, pid), 'T');
  CHECK_EQ(waitpid(pid, &status, WUNTRACED | WCONTINUED | WNOHANG), 0);
  CHECK_EQ(check_notices, 1);
  CHECK_EQ(common->count, count);
  CHECK_EQ(common->got + common->others, 0);
  check_continue(pid);
  check_until_notices(2);
  CHECK_EQ(write(gate[1], "g", 1), 1);
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 7 << 8);
  CHECK_EQ(common->got, 3);
  CHECK_EQ(common->others, 2);
  for (int i = 0; i < 3; ++i) CHECK_EQ(common->values[i], 10 + i);
  CHECK_EQ(check_notices, 3);  // stopped, continued, ended
  check_pass();
}
