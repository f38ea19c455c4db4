// Events of an inotify that nobody has read yet: of all lengths of names, in order, each once, and
// before what happens afterwards. What poll says is right, and the buffer need be no larger than
// natively.
//
// flavours: all
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char g_directory[512], g_file[512];

static void make(int length) {
  char path[800];
  char name[256];
  memset(name, 'a' + length % 26, (size_t)length);
  name[length] = '\0';
  snprintf(path, sizeof path, "%s/%s", g_directory, name);
  CHECK_SYS(close((int)CHECK_SYS(open(path, O_WRONLY | O_CREAT | O_EXCL, 0600))));
  CHECK_SYS(unlink(path));
}

static void expect(int notify, int watch, uint32_t mask, int length, size_t room) {
  char bytes[sizeof(struct inotify_event) + 256] __attribute__((aligned(8)));
  const struct inotify_event* event = (const void*)bytes;
  CHECK_EQ(read(notify, bytes, room),
           sizeof *event + (length == 0 ? 0 : (size_t)(length / 16 + 1) * 16));
  CHECK_EQ(event->wd, watch);
  CHECK_EQ(event->mask, mask);
  if (length != 0) {
    CHECK_EQ(strlen(event->name), length);
    CHECK_EQ(event->name[length - 1], 'a' + length % 26);
  }
}

static void expect_made(int notify, int length) {
  const size_t room = sizeof(struct inotify_event) + (size_t)(length / 16 + 1) * 16;
  expect(notify, 1, IN_CREATE, length, room);
  expect(notify, 1, IN_DELETE, length, room);
}

static int readable(int notify) {
  struct pollfd one = {.fd = notify, .events = POLLIN};
  return (int)CHECK_SYS(poll(&one, 1, 0));
}

int main(void) {
  const int lengths[] = {1, 15, 16, 31, 100, 254, 255};
  snprintf(g_directory, sizeof g_directory, "%s", check_path("watched"));
  snprintf(g_file, sizeof g_file, "%s", check_path("file"));
  if (mkdir(g_directory, 0700) != 0) CHECK_EQ(errno, EEXIST);
  CHECK_SYS(close((int)CHECK_SYS(open(g_file, O_WRONLY | O_CREAT, 0600))));
  int notify = (int)CHECK_SYS(inotify_init1(IN_NONBLOCK)),
      quiet = (int)CHECK_SYS(inotify_init1(IN_NONBLOCK));
  int single = (int)CHECK_SYS(inotify_init1(IN_NONBLOCK));
  CHECK_EQ(inotify_add_watch(notify, g_directory, IN_CREATE | IN_DELETE | IN_MOVE), 1);
  CHECK_EQ(inotify_add_watch(notify, g_file, IN_ATTRIB | IN_MODIFY), 2);
  CHECK_EQ(inotify_add_watch(quiet, g_file, IN_MODIFY), 1);
  CHECK_EQ(inotify_add_watch(single, g_file, IN_ATTRIB), 1);
  for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; ++i) make(lengths[i]);
  CHECK_SYS(chmod(g_file, 0640));
  char from[600], to[600];
  snprintf(from, sizeof from, "%s/%s", g_directory, "from");
  snprintf(to, sizeof to, "%s/%s", g_directory, "to");
  CHECK_SYS(close((int)CHECK_SYS(open(from, O_WRONLY | O_CREAT, 0600))));
  CHECK_SYS(rename(from, to));
  CHECK_SYS(unlink(to));
  check_ready();
  check_wait();
  CHECK_EQ(readable(quiet), 0);
  CHECK_EQ(readable(single), 1);
  expect(single, 1, IN_ATTRIB, 0, sizeof(struct inotify_event));
  CHECK_EQ(readable(single), 0);
  make(20);
  for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; ++i) expect_made(notify, lengths[i]);
  expect(notify, 2, IN_ATTRIB, 0, sizeof(struct inotify_event));
  char bytes[4096] __attribute__((aligned(8)));
  CHECK_ERRNO(read(notify, bytes, 16), EINVAL);
  for (size_t got = 0; got < 4 * 32;)
    got += (size_t)CHECK_SYS(read(notify, bytes + got, 4 * 32 - got));
  const struct inotify_event* event = (const void*)bytes;
  CHECK_EQ(event[0].mask, IN_CREATE);
  const struct inotify_event* moved = (const void*)(bytes + 32);
  CHECK_EQ(moved->mask, IN_MOVED_FROM);
  CHECK_STR(moved->name, "from");
  const struct inotify_event* moved_to = (const void*)(bytes + 64);
  CHECK_EQ(moved_to->mask, IN_MOVED_TO);
  CHECK_EQ(moved_to->cookie, moved->cookie);
  CHECK(moved->cookie != 0);
  CHECK_EQ(readable(notify), 1);
  expect_made(notify, 20);
  CHECK_EQ(readable(notify), 0);
  CHECK_ERRNO(read(notify, bytes, sizeof bytes), EAGAIN);
  check_pass();
}
