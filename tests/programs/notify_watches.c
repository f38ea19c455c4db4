// Watches of inotify keep their numbers, masks and files: of a directory, of files named
// relatively, through a link and by /proc/self/fd, twice with IN_MASK_ADD, for one event, with
// numbers in between that were given back. Nothing is told that did not happen.
//
// flavours: all
// not: busy because numbers that are given after a checkpoint may leave some out

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static int g_notify;
static char g_events[4096] __attribute__((aligned(8)));
static size_t g_at, g_bytes;

static void expect(int number, uint32_t mask, const char* name) {
  if (g_at == g_bytes) {
    g_bytes = (size_t)CHECK_SYS(read(g_notify, g_events, sizeof g_events));
    g_at = 0;
  }
  const struct inotify_event* event = (const void*)(g_events + g_at);
  CHECK_EQ(event->wd, number);
  CHECK_EQ(event->mask, mask);
  CHECK_STR(event->len != 0 ? event->name : "", name);
  g_at += sizeof *event + event->len;
}

static void expect_nothing(void) {
  CHECK_EQ(g_at, g_bytes);
  CHECK_ERRNO(read(g_notify, g_events, sizeof g_events), EAGAIN);
}

static int make(const char* path) {
  return (int)CHECK_SYS(open(path, O_RDWR | O_CREAT | O_TRUNC, 0600));
}

int main(void) {
  char directory[512], inside[600], other[512], link[512], once[512], by_number[32];
  snprintf(directory, sizeof directory, "%s", check_path("watched"));
  snprintf(inside, sizeof inside, "%s/inside", directory);
  snprintf(other, sizeof other, "%s", check_path("other"));
  snprintf(link, sizeof link, "%s", check_path("link"));
  snprintf(once, sizeof once, "%s", check_path("once"));
  if (mkdir(directory, 0700) != 0) CHECK_EQ(errno, EEXIST);
  int file = make(inside), second = make(other);
  CHECK_SYS(close(make(once)));
  unlink(link);
  CHECK_SYS(symlink("other", link));

  g_notify = (int)CHECK_SYS(inotify_init1(IN_NONBLOCK));
  CHECK_EQ(inotify_add_watch(g_notify, directory, IN_CREATE | IN_DELETE | IN_MOVED_TO), 1);
  CHECK_EQ(inotify_add_watch(g_notify, link, IN_MODIFY), 2);
  CHECK_EQ(inotify_add_watch(g_notify, "/", IN_DELETE_SELF), 3);
  CHECK_SYS(inotify_rm_watch(g_notify, 3));
  expect(3, IN_IGNORED, "");
  snprintf(by_number, sizeof by_number, "/proc/self/fd/%d", file);
  CHECK_EQ(inotify_add_watch(g_notify, by_number, IN_OPEN | IN_ACCESS | IN_CLOSE), 4);
  CHECK_EQ(inotify_add_watch(g_notify, inside, IN_MASK_ADD | IN_ATTRIB), 4);
  CHECK_SYS(chdir(check_path("")));
  CHECK_EQ(inotify_add_watch(g_notify, "once", IN_ONESHOT | IN_ATTRIB | IN_MODIFY), 5);
  CHECK_EQ(inotify_add_watch(g_notify, "link", IN_DONT_FOLLOW | IN_ATTRIB | IN_DELETE_SELF), 6);
  CHECK_EQ(inotify_add_watch(g_notify, ".", IN_EXCL_UNLINK | IN_MOVE), 7);
  int twin = (int)CHECK_SYS(dup(g_notify));
  expect_nothing();
  check_ready();
  check_wait();
  expect_nothing();
  CHECK_EQ(write(second, "x", 1), 1);
  expect(2, IN_MODIFY, "");
  CHECK_SYS(fchmod(file, 0640));
  expect(4, IN_ATTRIB, "");
  char byte;
  CHECK_EQ(read(file, &byte, 1), 0);
  CHECK_SYS(close((int)CHECK_SYS(open(inside, O_RDONLY))));
  expect(4, IN_OPEN, "");
  expect(4, IN_CLOSE_NOWRITE, "");
  CHECK_SYS(chmod(once, 0640));
  expect(5, IN_ATTRIB, "");
  expect(5, IN_IGNORED, "");
  CHECK_SYS(chmod(once, 0600));
  CHECK_SYS(unlink(link));
  expect(6, IN_ATTRIB, "");
  expect(6, IN_DELETE_SELF, "");
  expect(6, IN_IGNORED, "");
  CHECK_SYS(rename(once, inside));
  expect(7, IN_MOVED_FROM, "once");
  expect(1, IN_MOVED_TO, "inside");
  expect(4, IN_ATTRIB, "");
  expect_nothing();
  g_notify = twin;
  CHECK_SYS(inotify_rm_watch(g_notify, 2));
  expect(2, IN_IGNORED, "");
  CHECK_ERRNO(inotify_rm_watch(g_notify, 5), EINVAL);
  CHECK(inotify_add_watch(g_notify, other, IN_MODIFY) > 7);
  check_pass();
}
