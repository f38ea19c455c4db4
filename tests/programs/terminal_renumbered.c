// Pseudo terminals keep their numbers where these are somebody else's after the restart: in
// TIOCGPTN, in links of /proc, in paths and in the directory, for every process of the program. One
// that is opened then has a number that no other one of the program has, and keeps that, too.
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
// unsteady: fd,threads because a thread opens more of them once the numbers are other ones
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <utime.h>

#include "child.h"

enum { kOld = 5, kMore = 6, kLater = 8 };

typedef struct {
  int master, slave;
  char name[32];
} terminal;

static terminal g_old[kOld], g_more[kMore], g_later[kLater];
static volatile int g_more_count, g_stop;

static int number_of(const terminal* at) {
  return atoi(strrchr(at->name, '/') + 1);
}

static terminal make(void) {
  terminal made;
  struct termios modes;
  made.master = (int)CHECK_SYS(posix_openpt(O_RDWR | O_NOCTTY));
  CHECK_SYS(grantpt(made.master));
  CHECK_SYS(unlockpt(made.master));
  CHECK_OK(ptsname_r(made.master, made.name, sizeof made.name));
  made.slave = (int)CHECK_SYS(open(made.name, O_RDWR | O_NOCTTY));
  CHECK_SYS(tcgetattr(made.slave, &modes));
  cfmakeraw(&modes);
  CHECK_SYS(tcsetattr(made.slave, TCSANOW, &modes));
  return made;
}

static void drop(terminal at) {
  CHECK_SYS(close(at.slave));
  CHECK_SYS(close(at.master));
}

// What the kernel calls it: the only place where the program sees that.
static int real_number(int slave) {
  struct stat info;
  CHECK_SYS(fstat(slave, &info));
  return (int)minor(info.st_rdev);
}

static void check_link(const char* link, const char* name) {
  char text[64] = {0};
  CHECK_EQ(readlink(link, text, sizeof text), (ssize_t)strlen(name));
  CHECK_STR(text, name);
  memset(text, 0, sizeof text);
  CHECK_EQ(readlink(link, text, strlen(name) - 1), (ssize_t)strlen(name) - 1);
  CHECK_EQ(strncmp(text, name, strlen(name) - 1), 0);
  CHECK_EQ(text[strlen(name) - 1], 0);
}

// A byte written there is what the master gets.
static void check_leads_to(int opened, int master) {
  char byte = 0;
  CHECK_EQ(write(opened, "x", 1), 1);
  CHECK_EQ(read(master, &byte, 1), 1);
  CHECK_EQ(byte, 'x');
  CHECK_SYS(close(opened));
}

static void check_names(const terminal* at) {
  char link[64], text[64];
  int number = -1;
  CHECK_SYS(ioctl(at->master, TIOCGPTN, &number));
  CHECK_EQ(number, number_of(at));
  CHECK_STR(ptsname(at->master), at->name);
  CHECK(ttyname(at->slave) != NULL);
  CHECK_STR(ttyname(at->slave), at->name);
  CHECK_OK(ttyname_r(at->slave, text, sizeof text));
  CHECK_STR(text, at->name);
  snprintf(link, sizeof link, "/proc/self/fd/%d", at->slave);
  check_link(link, at->name);
  snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)getpid(), at->slave);
  check_link(link, at->name);
  snprintf(link, sizeof link, "/dev/fd/%d", at->slave);
  check_link(link, at->name);
}

static void check_paths(const terminal* at) {
  struct stat by_name, by_fd;
  const struct utimbuf times = {1000, 2000};
  char around[80];
  check_leads_to((int)CHECK_SYS(open(at->name, O_RDWR | O_NOCTTY)), at->master);
  CHECK_SYS(chmod(at->name, 0606));
  CHECK_SYS(chown(at->name, getuid(), (gid_t)-1));
  CHECK_SYS(utime(at->name, &times));
  CHECK_SYS(access(at->name, R_OK | W_OK));
  CHECK_SYS(stat(at->name, &by_name));
  CHECK_SYS(fstat(at->slave, &by_fd));
  CHECK_EQ(by_name.st_rdev, by_fd.st_rdev);
  CHECK_EQ(by_name.st_ino, by_fd.st_ino);
  CHECK_EQ(by_fd.st_mode & 07777, 0606);
  CHECK_EQ(by_fd.st_mtime, 2000);
  CHECK_SYS(lstat(at->name, &by_name));
  CHECK_EQ(by_name.st_ino, by_fd.st_ino);
  CHECK_ERRNO(readlink(at->name, around, sizeof around), EINVAL);
  snprintf(around, sizeof around, "/dev/./pts//../pts/%s", strrchr(at->name, '/') + 1);
  CHECK_SYS(stat(around, &by_name));
  CHECK_EQ(by_name.st_ino, by_fd.st_ino);
  const int directory = (int)CHECK_SYS(open("/dev/pts", O_RDONLY | O_DIRECTORY));
  check_leads_to(
      (int)CHECK_SYS(openat(directory, strrchr(at->name, '/') + 1, O_RDWR | O_NOCTTY)), at->master);
  CHECK_SYS(close(directory));
  const int here = (int)CHECK_SYS(open(".", O_PATH | O_DIRECTORY));
  CHECK_SYS(chdir("/dev"));
  CHECK_SYS(stat(at->name + strlen("/dev/"), &by_name));
  CHECK_EQ(by_name.st_ino, by_fd.st_ino);
  CHECK_SYS(fchdir(here));
  CHECK_SYS(close(here));
}

static void check_listed_once(const terminal* at) {
  DIR* directory = opendir("/dev/pts");
  int seen = 0;
  CHECK(directory != NULL);
  for (struct dirent* entry; (entry = readdir(directory)) != NULL;)
    if (strcmp(entry->d_name, strrchr(at->name, '/') + 1) == 0) ++seen;
  CHECK_EQ(closedir(directory), 0);
  CHECK_EQ(seen, 1);
}

static void check_all(const terminal* at) {
  check_names(at);
  check_paths(at);
  check_listed_once(at);
}

static void check_differ(const terminal* a, const terminal* b) {
  CHECK(strcmp(a->name, b->name) != 0);
}

// Those whose numbers the kernel has given away once more since they are free again.
static void* open_more(void* unused) {
  while (!g_stop) {
    check_sleep_ms(4);
    for (int i = 0; i < kOld && g_more_count < kMore; ++i) {
      if (real_number(g_old[i].slave) == number_of(&g_old[i])) continue;
      terminal made = make();
      int kept = 0;
      for (int j = 0; j < kOld; ++j) kept |= real_number(made.slave) == number_of(&g_old[j]);
      if (kept) g_more[g_more_count++] = made;
      else drop(made);
    }
  }
  return unused;
}

static void in_child(void) {
  char link[64];
  for (int i = 0; i < kOld; ++i) {
    check_all(&g_old[i]);
    snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)getppid(), g_old[i].slave);
    check_link(link, g_old[i].name);
  }
  const int terminal = (int)CHECK_SYS(open("/dev/tty", O_RDWR));
  CHECK_EQ(tcgetsid(terminal), getpid());
  CHECK_EQ(tcgetpgrp(terminal), getpid());
  check_leads_to(terminal, g_old[0].master);
}

static check_child start_session(void) {
  int order[2];
  CHECK_SYS(pipe(order));
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) {
    char byte;
    CHECK_SYS(close(order[1]));
    CHECK_SYS(setsid());
    CHECK_SYS(ioctl(g_old[0].slave, TIOCSCTTY, 0));
    CHECK_EQ(read(order[0], &byte, 1), 1);
    in_child();
    _exit(0);
  }
  CHECK_SYS(close(order[0]));
  check_until_child_asleep(pid);
  return (check_child){pid, order[1]};
}

// A program that is executed knows them by the same names.
static void check_by_exec(const terminal* at) {
  char master[16], slave[16];
  snprintf(master, sizeof master, "%d", at->master);
  snprintf(slave, sizeof slave, "%d", at->slave);
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) {
    execl("/proc/self/exe", "terminal_renumbered", at->name, master, slave, NULL);
    _exit(1);
  }
  int status = 0;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
}

static void check_later(const terminal* hung_up) {
  for (int i = 0; i < kLater; ++i) g_later[i] = make();
  for (int i = 0; i < kLater; ++i) {
    check_all(&g_later[i]);
    for (int j = 0; j < kOld; ++j) check_differ(&g_later[i], &g_old[j]);
    for (int j = 0; j < g_more_count; ++j) check_differ(&g_later[i], &g_more[j]);
    for (int j = 0; j < i; ++j) check_differ(&g_later[i], &g_later[j]);
    check_differ(&g_later[i], hung_up);
  }
}

int main(int count, char** arguments) {
  if (count == 4) {
    terminal at = {atoi(arguments[2]), atoi(arguments[3]), ""};
    snprintf(at.name, sizeof at.name, "%s", arguments[1]);
    check_all(&at);
    return 0;
  }
  char link[64], deleted[64];
  for (int i = 0; i < kOld; ++i) g_old[i] = make();
  terminal hung_up = make();
  const int again = (int)CHECK_SYS(open(hung_up.name, O_RDONLY | O_NOCTTY));
  CHECK_SYS(close(hung_up.master));
  const int path_only = (int)CHECK_SYS(open(g_old[1].name, O_PATH));
  CHECK_SYS(symlink(g_old[2].name, check_path("own")));
  const check_child child = start_session();
  pthread_t thread;
  CHECK_OK(pthread_create(&thread, NULL, open_more, NULL));
  check_ready();
  check_wait();
  g_stop = 1;
  CHECK_OK(pthread_join(thread, NULL));
  for (int i = 0; i < kOld; ++i) check_all(&g_old[i]);
  for (int i = 0; i < g_more_count; ++i) {
    check_all(&g_more[i]);
    for (int j = 0; j < kOld; ++j) check_differ(&g_more[i], &g_old[j]);
    for (int j = 0; j < i; ++j) check_differ(&g_more[i], &g_more[j]);
  }
  snprintf(link, sizeof link, "/proc/self/fd/%d", again);
  snprintf(deleted, sizeof deleted, "%s (deleted)", hung_up.name);
  check_link(link, deleted);
  CHECK_EQ(real_number(again), real_number(hung_up.slave));
  CHECK_EQ(read(again, link, 1), 0);
  CHECK_ERRNO(write(hung_up.slave, "x", 1), EIO);
  check_link(check_path("own"), g_old[2].name);  // its text is the program's own
  CHECK_EQ(real_number(path_only), real_number(g_old[1].slave));
  check_later(&hung_up);
  check_by_exec(&g_old[3]);
  check_by_exec(&g_later[0]);
  check_child_finish(child);
  check_pass();
}
