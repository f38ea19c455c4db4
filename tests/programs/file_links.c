// A file with several names, of which it has lost the one by which it was opened: what is open is
// still the file that the others lead to.
//
// flavours: all
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  char first[512], second[512], third[512];
  snprintf(first, sizeof first, "%s", check_path("first"));
  snprintf(second, sizeof second, "%s", check_path("second"));
  snprintf(third, sizeof third, "%s", check_path("third"));
  unlink(second), unlink(third);
  int file = (int)CHECK_SYS(open(first, O_RDWR | O_CREAT | O_TRUNC, 0600));
  int reading = (int)CHECK_SYS(open(first, O_RDONLY));
  CHECK_EQ(write(file, "0123456789", 10), 10);
  CHECK_SYS(link(first, second));
  CHECK_SYS(link(first, third));
  CHECK_SYS(unlink(first));
  check_ready();
  check_wait();
  struct stat opened, named;
  CHECK_SYS(fstat(file, &opened));
  CHECK_SYS(stat(third, &named));
  CHECK_EQ(opened.st_ino, named.st_ino);
  CHECK(opened.st_nlink >= 2);  // more while a restart may want to undo a removal
  CHECK_ERRNO(access(first, F_OK), ENOENT);
  CHECK_EQ(lseek(file, 0, SEEK_CUR), 10);
  CHECK_EQ(write(file, "abc", 3), 3);
  char text[16] = "";
  CHECK_EQ(read(reading, text, sizeof text), 13);
  CHECK_STR(text, "0123456789abc");
  int other = (int)CHECK_SYS(open(second, O_RDONLY));
  CHECK_EQ(pread(other, text, sizeof text, 0), 13);
  check_pass();
}
