// POSIX record locks, an open-file-description lock and flock are still held: a child made
// afterwards meets them.
//
// flavours: all
// not: busy because a checkpoint of a tree of processes is refused for now
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static int in_child(int (*body)(const char*), const char* path) {
  pid_t child = (pid_t)CHECK_SYS(fork());
  if (child == 0) _exit(body(path));
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static int posix_conflicts(const char* path) {
  int fd = open(path, O_RDWR), bits = 0;
  const off_t starts[] = {10, 19, 20, 100, 0x7fffffffff};
  for (int i = 0; i < 5; ++i) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = starts[i], .l_len = 1};
    if (fcntl(fd, F_SETLK, &lock) != 0) bits |= 1 << i;
  }
  return bits;
}

static int flock_conflicts(const char* path) {
  return flock(open(path, O_RDWR), LOCK_EX | LOCK_NB) != 0;
}

int main(void) {
  const char *posix = check_path("posix"), *whole = check_path("whole"),
             *description = check_path("ofd");
  int posix_fd = (int)CHECK_SYS(open(posix, O_RDWR | O_CREAT, 0600));
  int whole_fd = (int)CHECK_SYS(open(whole, O_RDWR | O_CREAT, 0600));
  int ofd_fd = (int)CHECK_SYS(open(description, O_RDWR | O_CREAT, 0600));
  struct flock ten = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10};
  struct flock rest = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 0};
  struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
  CHECK_SYS(fcntl(posix_fd, F_SETLK, &ten));
  CHECK_SYS(fcntl(posix_fd, F_SETLK, &rest));
  CHECK_SYS(flock(whole_fd, LOCK_SH));
  CHECK_SYS(fcntl(ofd_fd, F_OFD_SETLK, &all));
  check_ready();
  check_wait();
  CHECK_EQ(in_child(posix_conflicts, posix), 1 | 2 | 8 | 16);
  CHECK_EQ(in_child(flock_conflicts, whole), 1);
  CHECK_EQ(in_child(posix_conflicts, description), 31);
  CHECK_SYS(flock(whole_fd, LOCK_UN));
  CHECK_EQ(in_child(flock_conflicts, whole), 0);
  ten.l_type = F_UNLCK;
  CHECK_SYS(fcntl(posix_fd, F_SETLK, &ten));
  CHECK_EQ(in_child(posix_conflicts, posix), 8 | 16);
  check_pass();
}
