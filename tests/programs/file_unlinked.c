// Files unlinked while open, written and empty, keep bytes, offset and length, and have no name.
//
// flavours: all
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  enum { kBytes = 100001 };
  static char data[kBytes];
  const char *path = check_path("unlinked"), *empty_path = check_path("empty");
  int fd = (int)CHECK_SYS(open(path, O_RDWR | O_CREAT | O_EXCL, 0640));
  int empty = (int)CHECK_SYS(open(empty_path, O_RDWR | O_CREAT | O_EXCL, 0600));
  check_fill(data, kBytes, 61);
  CHECK_EQ(write(fd, data, kBytes), kBytes);
  CHECK_EQ(lseek(fd, 4321, SEEK_SET), 4321);
  int reader = (int)CHECK_SYS(open(path, O_RDONLY));
  CHECK_SYS(unlink(path));
  CHECK_SYS(unlink(empty_path));
  check_ready();
  check_wait();
  CHECK_EQ(access(path, F_OK), -1);
  CHECK_EQ(access(empty_path, F_OK), -1);
  struct stat status, twin;
  CHECK_SYS(fstat(fd, &status));
  CHECK_EQ(status.st_size, kBytes);
  CHECK_EQ(status.st_nlink, 0);
  CHECK_EQ(status.st_mode & 07777, 0640);
  CHECK_SYS(fstat(reader, &twin));
  CHECK_EQ(twin.st_ino, status.st_ino);  // still one file
  CHECK_EQ(lseek(fd, 0, SEEK_CUR), 4321);
  memset(data, 0, sizeof data);
  CHECK_EQ(pread(reader, data, kBytes, 0), kBytes);
  CHECK_BYTES(data, kBytes, 61);
  CHECK_EQ(write(fd, "new", 3), 3);
  CHECK_EQ(pread(reader, data, 3, 4321), 3);
  CHECK(memcmp(data, "new", 3) == 0);
  CHECK_SYS(fstat(empty, &status));
  CHECK_EQ(status.st_size, 0);
  check_pass();
}
