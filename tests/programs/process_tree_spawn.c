// vfork and posix_spawn over and over: a child that borrows its parent's memory is there at most
// moments, and an exec that fails is told by it.
// flavours: all

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/check.h"

extern char** environ;

static void spawn(void) {
  char* const arguments[] = {(char*)"sh", (char*)"-c", (char*)"exit 9", NULL};
  pid_t child = 0;
  int status = 0;
  CHECK_OK(posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ));
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 9 << 8);
  CHECK_EQ(posix_spawn(&child, "/nowhere/at/all", NULL, NULL, arguments, environ), ENOENT);
}

static void by_vfork(void) {
  int status = 0;
  const pid_t child = vfork();
  if (child == 0) {
    execl("/bin/true", "true", (char*)NULL);
    _exit(1);
  }
  CHECK(child > 0);
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}

int main(void) {
  check_ready();
  while (check_busy()) {
    spawn();
    by_vfork();
  }
  check_wait();
  spawn();
  by_vfork();
  check_pass();
}
