// FIFOs whose names were removed: both ends with data between them, and one end alone; one of the names
// leads to something else by now.
//
// flavours: all
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char g_data[5000];

int main(void) {
  const char* path = check_path("removed");
  CHECK_SYS(mkfifo(path, 0620));
  int both = (int)CHECK_SYS(open(path, O_RDWR));
  int reader = (int)CHECK_SYS(open(path, O_RDONLY | O_NONBLOCK));
  CHECK_SYS(chmod(path, 0620));
  CHECK_SYS(unlink(path));
  int other = (int)CHECK_SYS(open(path, O_RDWR | O_CREAT | O_EXCL, 0600));
  const char* lonely_path = check_path("lonely");
  CHECK_SYS(mkfifo(lonely_path, 0600));
  int lonely = (int)CHECK_SYS(open(lonely_path, O_RDONLY | O_NONBLOCK));
  CHECK_SYS(unlink(lonely_path));
  check_fill(g_data, sizeof g_data, 77);
  CHECK_EQ(write(both, g_data, sizeof g_data), sizeof g_data);
  CHECK_EQ(write(other, "file", 4), 4);
  check_ready();
  check_wait();
  struct stat info, end;
  CHECK_SYS(fstat(both, &info));
  CHECK_SYS(fstat(reader, &end));
  CHECK(S_ISFIFO(info.st_mode));
  CHECK_EQ(info.st_nlink, 0);
  CHECK_EQ(info.st_mode & 07777, 0620);
  CHECK_EQ(info.st_ino, end.st_ino);
  memset(g_data, 0, sizeof g_data);
  CHECK_EQ(read(reader, g_data, sizeof g_data), sizeof g_data);
  CHECK_BYTES(g_data, sizeof g_data, 77);
  CHECK_ERRNO(read(reader, g_data, 1), EAGAIN);
  CHECK_EQ(read(lonely, g_data, 1), 0);  // nobody has it open for writing
  CHECK_ERRNO(access(lonely_path, F_OK), ENOENT);
  CHECK_EQ(pread(other, g_data, 4, 0), 4);
  CHECK(memcmp(g_data, "file", 4) == 0);
  check_pass();
}
