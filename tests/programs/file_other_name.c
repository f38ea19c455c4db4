// A file that has lost the name under which it was opened, but not the other one in that directory, is still
// that file.
//
// flavours: all
// not: busy because the undo journal holds a removed name by a link of its own
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  char kept[4096];
  const char* path = check_path("lost");
  snprintf(kept, sizeof kept, "%s.kept", path);
  int fd = (int)CHECK_SYS(open(path, O_RDWR | O_CREAT | O_EXCL, 0600));
  CHECK_SYS(link(path, kept));
  CHECK_EQ(write(fd, "before", 6), 6);
  CHECK_SYS(unlink(path));
  check_ready();
  check_wait();
  struct stat open_one, named;
  CHECK_SYS(fstat(fd, &open_one));
  CHECK_SYS(stat(kept, &named));
  CHECK_EQ(open_one.st_ino, named.st_ino);
  CHECK_EQ(open_one.st_nlink, 1);
  CHECK_ERRNO(access(path, F_OK), ENOENT);
  CHECK_EQ(write(fd, "after", 5), 5);
  char text[12] = "";
  int reader = (int)CHECK_SYS(open(kept, O_RDONLY));
  CHECK_EQ(read(reader, text, sizeof text), 11);
  CHECK_STR(text, "beforeafter");
  check_pass();
}
