// A file that is watched, open and removed: its watch is still there, and ends when the file does.
//
// flavours: all
#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "check.h"

static void expect(int notify, int number, uint32_t mask) {
  char bytes[sizeof(struct inotify_event)] __attribute__((aligned(8)));
  const struct inotify_event* event = (const void*)bytes;
  CHECK_EQ(read(notify, bytes, sizeof bytes), sizeof bytes);
  CHECK_EQ(event->wd, number);
  CHECK_EQ(event->mask, mask);
}

int main(void) {
  const char* path = check_path("removed");
  int file = (int)CHECK_SYS(open(path, O_RDWR | O_CREAT | O_TRUNC, 0600));
  int notify = (int)CHECK_SYS(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  CHECK_EQ(inotify_add_watch(notify, path, IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF), 1);
  CHECK_SYS(unlink(path));
  expect(notify, 1, IN_ATTRIB);
  int empty = (int)CHECK_SYS(inotify_init());
  check_ready();
  check_wait();
  CHECK_ERRNO(read(notify, &(char[64]){0}, 64), EAGAIN);
  CHECK_EQ(fcntl(notify, F_GETFD), FD_CLOEXEC);
  CHECK_EQ(write(file, "x", 1), 1);
  expect(notify, 1, IN_MODIFY);
  CHECK_SYS(close(file));
  expect(notify, 1, IN_DELETE_SELF);
  expect(notify, 1, IN_IGNORED);
  CHECK_EQ(fcntl(empty, F_GETFL) & O_NONBLOCK, 0);
  CHECK(inotify_add_watch(empty, "/", IN_CREATE) > 0);
  check_pass();
}
