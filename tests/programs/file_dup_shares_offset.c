// Descriptors made by dup, dup2 and fcntl share one offset and one set of flags; a second open has
// its own. Close-on-exec is each descriptor's own.
//
// flavours: all
#include <fcntl.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const char* path = check_path("file");
  int first = (int)CHECK_SYS(open(path, O_RDWR | O_CREAT, 0600));
  CHECK_EQ(write(first, "abcdefghij", 10), 10);
  int copy = (int)CHECK_SYS(dup(first));
  int at = (int)CHECK_SYS(dup3(first, 500, O_CLOEXEC));
  int above = (int)CHECK_SYS(fcntl(first, F_DUPFD, 300));
  int other = (int)CHECK_SYS(open(path, O_RDWR));
  CHECK_EQ(at, 500);
  CHECK_EQ(lseek(copy, 3, SEEK_SET), 3);
  CHECK_EQ(lseek(other, 7, SEEK_SET), 7);
  check_ready();
  check_wait();
  char byte;
  CHECK_EQ(read(above, &byte, 1), 1);
  CHECK_EQ(byte, 'd');
  CHECK_EQ(read(at, &byte, 1), 1);
  CHECK_EQ(byte, 'e');
  CHECK_EQ(lseek(first, 0, SEEK_CUR), 5);
  CHECK_EQ(lseek(copy, 0, SEEK_CUR), 5);
  CHECK_EQ(lseek(other, 0, SEEK_CUR), 7);
  CHECK_SYS(fcntl(copy, F_SETFL, O_APPEND));
  CHECK_EQ(fcntl(at, F_GETFL) & O_APPEND, O_APPEND);
  CHECK_EQ(fcntl(other, F_GETFL) & O_APPEND, 0);
  CHECK_EQ(fcntl(at, F_GETFD), FD_CLOEXEC);
  CHECK_EQ(fcntl(above, F_GETFD), 0);
  close(first);
  CHECK_EQ(lseek(copy, 0, SEEK_CUR), 5);
  check_pass();
}
