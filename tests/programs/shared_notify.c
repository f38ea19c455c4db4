// An inotify that parent and child share: either may read what happens, and a child that waits in
// poll for it hears of it.
//
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>

#include "child.h"

static int g_notify;

static void hear(const char* name) {
  char bytes[512] __attribute__((aligned(8)));
  const struct inotify_event* event = (const void*)bytes;
  CHECK(read(g_notify, bytes, sizeof bytes) >= (ssize_t)sizeof *event);
  CHECK_EQ(event->wd, 1);
  CHECK_EQ(event->mask, IN_CREATE);
  CHECK_STR(event->name, name);
}

static void make(const char* name) {
  CHECK_SYS(close((int)CHECK_SYS(open(check_path(name), O_WRONLY | O_CREAT | O_EXCL, 0600))));
}

int main(void) {
  g_notify = (int)CHECK_SYS(inotify_init1(0));
  CHECK_EQ(inotify_add_watch(g_notify, check_path("."), IN_CREATE), 1);
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) {
    struct pollfd one = {.fd = g_notify, .events = POLLIN};
    CHECK_EQ(poll(&one, 1, -1), 1);
    hear("first");
    _exit(0);
  }
  check_until_child_asleep(pid);
  check_ready();
  check_wait();
  make("first");
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  make("second");
  hear("second");
  check_pass();
}
