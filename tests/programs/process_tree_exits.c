// Children that ended before a checkpoint, and were not waited for, and children that end after it:
// each is waited for by its pid with its exact status, by an exit code as by a signal.
// flavours: all

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/check.h"

enum { kEnded = 6, kAlive = 4 };
static const int kCodes[kEnded] = {0, 1, 77, 255, -SIGKILL, -SIGTERM};

static pid_t start(int code, int gate) {
  const pid_t child = CHECK_SYS(fork());
  if (child != 0) return child;
  char byte;
  if (gate >= 0 && read(gate, &byte, 1) != 0) _exit(99);  // until every writer is gone
  if (code < 0) kill(getpid(), -code);
  _exit(code);
}

static void expect(pid_t child, int code) {
  int status = 0;
  siginfo_t info;
  CHECK_SYS(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
  CHECK_EQ(info.si_pid, child);
  CHECK_EQ(info.si_code, code < 0 ? CLD_KILLED : CLD_EXITED);
  CHECK_EQ(info.si_status, code < 0 ? -code : code);
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, code < 0 ? -code : code << 8);
}

int main(void) {
  pid_t ended[kEnded], alive[kAlive];
  int gate[2];
  CHECK_SYS(pipe(gate));
  for (int i = 0; i < kEnded; ++i) ended[i] = start(kCodes[i], -1);
  for (int i = 0; i < kAlive; ++i) {
    alive[i] = CHECK_SYS(fork());
    if (alive[i] != 0) continue;
    close(gate[1]);
    const pid_t self = getpid(), parent = getppid();
    char byte;
    if (read(gate[0], &byte, 1) != 0) _exit(99);
    _exit(getpid() == self && getppid() == parent ? 10 + i : 98);
  }
  for (int i = 0; i < kEnded; ++i) {
    siginfo_t info;
    CHECK_SYS(waitid(P_PID, (id_t)ended[i], &info, WEXITED | WNOWAIT));
  }
  check_ready();
  check_wait();
  close(gate[1]);
  for (int i = kEnded - 1; i >= 0; --i) expect(ended[i], kCodes[i]);
  for (int i = 0; i < kAlive; ++i) expect(alive[i], 10 + i);
  CHECK_ERRNO(waitpid(-1, NULL, WNOHANG), ECHILD);
  check_pass();
}
