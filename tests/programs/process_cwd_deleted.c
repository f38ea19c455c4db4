// A working directory that has been removed is still a directory without a name.
//
// flavours: all
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const char* path = check_path("gone");
  CHECK_SYS(mkdir(path, 0700));
  CHECK_SYS(chdir(path));
  CHECK_SYS(rmdir(path));
  check_ready();
  check_wait();
  char cwd[PATH_MAX];
  CHECK_ERRNO(access(path, F_OK), ENOENT);
  errno = 0;
  CHECK(getcwd(cwd, sizeof cwd) == NULL);
  CHECK_EQ(errno, ENOENT);
  CHECK_ERRNO(open("file", O_CREAT | O_WRONLY, 0600), ENOENT);
  struct stat status;
  CHECK_SYS(stat(".", &status));
  CHECK(S_ISDIR(status.st_mode));
  CHECK_EQ(status.st_nlink, 0);
  CHECK_SYS(chdir("/"));
  check_pass();
}
