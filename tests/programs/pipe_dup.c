// Duplicated ends are one pipe: it ends only when the last copy of the writing end is closed, and
// O_NONBLOCK set through one copy holds for all.
//
// flavours: all
#include <fcntl.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  int ends[2];
  CHECK_SYS(pipe(ends));
  int write_copy = (int)CHECK_SYS(dup(ends[1])),
      read_copy = (int)CHECK_SYS(fcntl(ends[0], F_DUPFD_CLOEXEC, 200));
  // Opened through /proc: another open file description on the same pipe.
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", ends[0]);
  int reopened = (int)CHECK_SYS(open(link, O_RDONLY | O_NONBLOCK));
  CHECK_EQ(write(ends[1], "abc", 3), 3);
  check_ready();
  check_wait();
  char byte;
  CHECK_EQ(read(read_copy, &byte, 1), 1);
  CHECK_EQ(byte, 'a');
  CHECK_EQ(read(reopened, &byte, 1), 1);
  CHECK_EQ(byte, 'b');
  CHECK_EQ(read(ends[0], &byte, 1), 1);
  CHECK_EQ(byte, 'c');
  CHECK_ERRNO(read(reopened, &byte, 1), EAGAIN);
  CHECK_EQ(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
  CHECK_SYS(fcntl(read_copy, F_SETFL, O_NONBLOCK));
  CHECK_ERRNO(read(ends[0], &byte, 1), EAGAIN);
  close(ends[1]);
  CHECK_ERRNO(read(ends[0], &byte, 1), EAGAIN);
  CHECK_EQ(write(write_copy, "d", 1), 1);
  close(write_copy);
  CHECK_EQ(read(reopened, &byte, 1), 1);
  CHECK_EQ(read(ends[0], &byte, 1), 0);
  check_pass();
}
