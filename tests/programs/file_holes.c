// A sparse file keeps its data and its holes, and takes no more blocks than before.
//
// flavours: all
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  int fd = (int)CHECK_SYS(open(check_path("sparse"), O_RDWR | O_CREAT, 0600));
  CHECK_EQ(pwrite(fd, "start", 5, 0), 5);
  CHECK_EQ(pwrite(fd, "middle", 6, 1ll << 30), 6);
  CHECK_SYS(ftruncate(fd, 1ll << 32));
  CHECK_SYS(fsync(fd));
  struct stat before, after;
  CHECK_SYS(fstat(fd, &before));
  check_ready();
  check_wait();
  CHECK_SYS(fstat(fd, &after));
  CHECK_EQ(after.st_size, 1ll << 32);
  CHECK(after.st_blocks <= before.st_blocks + 16);
  char text[7] = "";
  CHECK_EQ(pread(fd, text, 6, 1ll << 30), 6);
  CHECK_STR(text, "middle");
  CHECK_EQ(pread(fd, text, 6, 1ll << 31), 6);
  for (int i = 0; i < 6; ++i) CHECK_EQ(text[i], 0);
  check_pass();
}
