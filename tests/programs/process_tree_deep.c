// A tree of three levels, each process with three children, in which everybody waits for its own
// and passes on the sum of what they found.
// flavours: all

#include <sys/wait.h>
#include <unistd.h>

#include "lib/check.h"

enum { kChildren = 3, kLevels = 3 };

// 1 for each process below that found everything as it was.
static int grow(int level, int gate) {
  pid_t children[kChildren];
  const pid_t self = getpid(), parent = getppid();
  int sum = 0;
  for (int i = 0; level > 0 && i < kChildren; ++i) {
    children[i] = fork();
    if (children[i] == 0) _exit(grow(level - 1, gate));
  }
  if (level < kLevels) {
    char byte;
    (void)!read(gate, &byte, 1);
  } else {
    check_ready();
    check_wait();
    for (int i = 0; i < 3 + 9 + 27; ++i) CHECK_EQ(write(gate + 1, "x", 1), 1);
  }
  for (int i = 0; level > 0 && i < kChildren; ++i) {
    int status = 0;
    if (waitpid(children[i], &status, 0) != children[i] || !WIFEXITED(status)) return 0;
    sum += WEXITSTATUS(status);
  }
  return sum + (getpid() == self && getppid() == parent);
}

int main(void) {
  int gate[2];
  CHECK_SYS(pipe(gate));
  CHECK_EQ(gate[1], gate[0] + 1);
  CHECK_EQ(grow(kLevels, gate[0]), 40);
  check_pass();
}
