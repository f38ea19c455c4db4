// A file made with O_TMPFILE keeps bytes, mode and length, and can still be given a name
// afterwards.
//
// flavours: all
// not: busy because a checkpoint after linkat is refused: nobody tells the name
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  enum { kBytes = 70001 };
  static char data[kBytes];
  char directory[4096], link[64];
  snprintf(directory, sizeof directory, "%s", check_path("named"));
  *strrchr(directory, '/') = '\0';
  int fd = open(directory, O_TMPFILE | O_RDWR, 0640);
  if (fd < 0 && errno == EOPNOTSUPP) check_skip("this file system has no O_TMPFILE");
  CHECK_SYS(fd);
  check_fill(data, kBytes, 31);
  CHECK_EQ(write(fd, data, kBytes), kBytes);
  int empty = (int)CHECK_SYS(open(directory, O_TMPFILE | O_WRONLY, 0600));
  check_ready();
  check_wait();
  struct stat status, named;
  CHECK_SYS(fstat(fd, &status));
  CHECK_EQ(status.st_nlink, 0);
  CHECK_EQ(status.st_size, kBytes);
  CHECK_EQ(status.st_mode & 07777, 0640);
  CHECK_EQ(lseek(fd, 0, SEEK_CUR), kBytes);
  CHECK_EQ(write(empty, "a", 1), 1);
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  (void)unlink(check_path("named"));  // of the last round
  CHECK_SYS(linkat(AT_FDCWD, link, AT_FDCWD, check_path("named"), AT_SYMLINK_FOLLOW));
  CHECK_SYS(stat(check_path("named"), &named));
  CHECK_EQ(named.st_ino, status.st_ino);
  memset(data, 0, sizeof data);
  CHECK_EQ(pread(fd, data, kBytes, 0), kBytes);
  CHECK_BYTES(data, kBytes, 31);
  check_pass();
}
