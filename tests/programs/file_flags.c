// Access modes and status flags of descriptors, and close-on-exec, each as it was.
//
// flavours: all
#include <fcntl.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const int flags[] = {O_RDONLY,
                       O_WRONLY,
                       O_RDWR,
                       O_WRONLY | O_APPEND,
                       O_RDWR | O_NONBLOCK,
                       O_RDWR | O_SYNC,
                       O_WRONLY | O_DSYNC,
                       O_RDONLY | O_NOATIME,
                       O_PATH};
  enum { kCount = sizeof flags / sizeof flags[0] };
  int fds[kCount], want[kCount];
  const char* path = check_path("file");
  close((int)CHECK_SYS(open(path, O_CREAT | O_WRONLY, 0600)));
  for (int i = 0; i < kCount; ++i) {
    fds[i] = (int)CHECK_SYS(open(path, flags[i] | (i % 2 ? O_CLOEXEC : 0)));
    want[i] = fcntl(fds[i], F_GETFL);
  }
  check_ready();
  check_wait();
  char byte = 'x';
  for (int i = 0; i < kCount; ++i) {
    CHECK_EQ(fcntl(fds[i], F_GETFL), want[i]);
    CHECK_EQ(fcntl(fds[i], F_GETFD), i % 2 ? FD_CLOEXEC : 0);
  }
  CHECK_ERRNO(write(fds[0], &byte, 1), EBADF);
  CHECK_ERRNO(read(fds[1], &byte, 1), EBADF);
  CHECK_ERRNO(read(fds[8], &byte, 1), EBADF);
  CHECK_EQ(write(fds[1], "ab", 2), 2);
  CHECK_EQ(write(fds[3], "cd", 2), 2);  // appends, wherever it stands
  char text[5] = "";
  CHECK_EQ(read(fds[2], text, 4), 4);
  CHECK_STR(text, "abcd");
  check_pass();
}
