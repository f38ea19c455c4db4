// A file renamed while open is the same file under its new name; another one took the old name.
//
// flavours: all
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const char *old = check_path("old"), *new = check_path("new");
  int fd = (int)CHECK_SYS(open(old, O_RDWR | O_CREAT | O_EXCL, 0600));
  CHECK_EQ(write(fd, "first", 5), 5);
  CHECK_SYS(rename(old, new));
  int other = (int)CHECK_SYS(open(old, O_RDWR | O_CREAT | O_EXCL, 0600));
  CHECK_EQ(write(other, "second!", 7), 7);
  check_ready();
  check_wait();
  struct stat by_fd, by_name;
  CHECK_SYS(fstat(fd, &by_fd));
  CHECK_SYS(stat(new, &by_name));
  CHECK_EQ(by_fd.st_ino, by_name.st_ino);
  CHECK_EQ(by_fd.st_size, 5);
  CHECK_SYS(fstat(other, &by_fd));
  CHECK_SYS(stat(old, &by_name));
  CHECK_EQ(by_fd.st_ino, by_name.st_ino);
  char text[8] = "";
  CHECK_EQ(pread(fd, text, 7, 0), 5);
  CHECK_STR(text, "first");
  CHECK_EQ(pread(other, text, 7, 0), 7);
  CHECK_STR(text, "second!");
  CHECK_EQ(lseek(fd, 0, SEEK_CUR), 5);
  check_pass();
}
