// O_PATH descriptors: of a file, of a directory, of a symbolic link, and of a link whose name was removed.
//
// flavours: all
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

enum { kFile, kDirectory, kLink, kRemovedLink, kCount };
static const mode_t kTypes[kCount] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFLNK};

static void check_all(const int* fd) {
  for (int i = 0; i < kCount; ++i) {
    struct stat info;
    CHECK_SYS(fstat(fd[i], &info));
    CHECK_EQ(info.st_mode & S_IFMT, kTypes[i]);
    CHECK_EQ(info.st_nlink == 0, i == kRemovedLink);
    CHECK((fcntl(fd[i], F_GETFL) & O_PATH) != 0);
    CHECK_ERRNO(read(fd[i], &info, 1), EBADF);
  }
  char target[64] = "";
  CHECK_EQ(readlinkat(fd[kLink], "", target, sizeof target), 7);
  CHECK_STR(target, "nowhere");
  memset(target, 0, sizeof target);
  CHECK_EQ(readlinkat(fd[kRemovedLink], "", target, sizeof target), 4);
  CHECK_STR(target, "gone");
}

int main(void) {
  int fd[kCount];
  close((int)CHECK_SYS(open(check_path("file"), O_RDWR | O_CREAT | O_EXCL, 0600)));
  CHECK_SYS(mkdir(check_path("directory"), 0700));
  CHECK_SYS(symlink("nowhere", check_path("link")));
  CHECK_SYS(symlink("gone", check_path("removed")));
  fd[kFile] = (int)CHECK_SYS(open(check_path("file"), O_PATH));
  fd[kDirectory] = (int)CHECK_SYS(open(check_path("directory"), O_PATH | O_DIRECTORY));
  fd[kLink] = (int)CHECK_SYS(open(check_path("link"), O_PATH | O_NOFOLLOW));
  fd[kRemovedLink] = (int)CHECK_SYS(open(check_path("removed"), O_PATH | O_NOFOLLOW));
  CHECK_SYS(unlink(check_path("removed")));
  check_all(fd);
  check_ready();
  check_wait();
  check_all(fd);
  CHECK_ERRNO(faccessat(AT_FDCWD, check_path("removed"), F_OK, AT_SYMLINK_NOFOLLOW), ENOENT);
  check_pass();
}
