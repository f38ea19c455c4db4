// Descriptors 0, 1 and 2 closed stay closed, and the next open gets 0.
//
// flavours: all
// not: busy because its next round would begin without descriptors 0 to 2
#include <fcntl.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  for (int fd = 0; fd < 3; ++fd) CHECK_SYS(close(fd));
  check_ready();
  check_wait();
  for (int fd = 0; fd < 3; ++fd) CHECK_ERRNO(fcntl(fd, F_GETFD), EBADF);
  int again = (int)CHECK_SYS(open("/dev/null", O_RDWR));
  CHECK_EQ(again, 0);
  CHECK_EQ(dup(again), 1);
  CHECK_EQ(dup(again), 2);
  CHECK_EQ(dup(again), 3);
  check_pass();
}
