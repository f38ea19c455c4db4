// umask and working directory are kept; also a directory that has been renamed.
//
// flavours: all
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const char *before = check_path("before"), *after = check_path("after");
  CHECK_SYS(mkdir(before, 0700));
  CHECK_SYS(chdir(before));
  CHECK_SYS(rename(before, after));
  umask(0753);
  check_ready();
  check_wait();
  char cwd[PATH_MAX];
  CHECK(getcwd(cwd, sizeof cwd) != NULL);
  CHECK_STR(cwd, after);
  struct stat here, there;
  CHECK_SYS(stat(".", &here));
  CHECK_SYS(stat(after, &there));
  CHECK_EQ(here.st_ino, there.st_ino);
  close((int)CHECK_SYS(open("new", O_CREAT | O_WRONLY, 0777)));
  CHECK_SYS(stat("new", &there));
  CHECK_EQ(there.st_mode & 0777, 0777 & ~0753);
  CHECK_EQ(umask(0), 0753);
  check_pass();
}
