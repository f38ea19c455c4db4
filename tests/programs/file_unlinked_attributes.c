// Mode and time of a file that was removed while it is open, also a mode that would keep its owner from
// opening it again.
//
// flavours: all
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static const mode_t kModes[] = {0777, 0456, 0000, 06711};
enum { kFiles = sizeof kModes / sizeof *kModes, kSeconds = 123456, kNanoseconds = 789 };

int main(void) {
  int fd[kFiles];
  const char* path = check_path("removed");
  umask(077);
  for (int i = 0; i < kFiles; ++i) {
    fd[i] = (int)CHECK_SYS(open(path, O_RDWR | O_CREAT | O_EXCL, 0600));
    CHECK_EQ(write(fd[i], "text", 4), 4);
    CHECK_SYS(unlink(path));
    CHECK_SYS(fchmod(fd[i], kModes[i]));
    const struct timespec times[2] = {{0, UTIME_OMIT}, {kSeconds, kNanoseconds + i}};
    CHECK_SYS(futimens(fd[i], times));
  }
  check_ready();
  check_wait();
  for (int i = 0; i < kFiles; ++i) {
    struct stat info;
    CHECK_SYS(fstat(fd[i], &info));
    CHECK_EQ(info.st_mode & 07777, kModes[i]);
    CHECK_EQ(info.st_mtim.tv_sec, kSeconds);
    CHECK_EQ(info.st_mtim.tv_nsec, kNanoseconds + i);
    char text[4] = "";
    CHECK_EQ(pread(fd[i], text, 4, 0), 4);
    CHECK(memcmp(text, "text", 4) == 0);
    CHECK_EQ(pwrite(fd[i], "more", 4, 4), 4);
  }
  check_pass();
}
