// Ids in paths under /proc, in directories there, in links and in texts are the program's own, also
// in paths that start from a descriptor or from the working directory. A file that was open before is
// read anew from its beginning.
//
// flavours: all
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "check.h"

static atomic_int tid;
static pthread_barrier_t done;
static pid_t self, parent, group, session;
static unsigned long long start_time;
static int status_fd, task_fd;

static void* run(void* unused) {
  (void)unused;
  tid = (int)syscall(SYS_gettid);
  pthread_barrier_wait(&done);
  return NULL;
}

static const char* text(const char* format, ...) {
  static char out[4][128];
  static int next;
  char* at = out[next++ % 4];
  va_list list;
  va_start(list, format);
  vsnprintf(at, sizeof out[0], format, list);
  va_end(list);
  return at;
}

static int lists(int fd, int number) {
  int found = 0;
  DIR* directory = fdopendir(fd);
  CHECK(directory != NULL);
  for (struct dirent* entry; (entry = readdir(directory)) != NULL;) {
    CHECK(entry->d_type == DT_DIR || atoi(entry->d_name) == 0);
    found += strcmp(entry->d_name, text("%d", number)) == 0;
  }
  closedir(directory);
  return found;
}

static char* link_of(const char* path) {
  static char out[PATH_MAX];
  ssize_t length = CHECK_SYS(readlink(path, out, sizeof out - 1));
  out[length] = '\0';
  return out;
}

static void verify_stat(const char* line, int id) {
  char state;
  int number, ppid, pgrp, sid;
  unsigned long long start;
  CHECK_EQ(sscanf(line, "%d", &number), 1);
  CHECK_EQ(number, id);
  const char* rest = strrchr(line, ')');
  CHECK(rest != NULL);
  CHECK_EQ(sscanf(rest + 2, "%c %d %d %d", &state, &ppid, &pgrp, &sid), 4);
  CHECK_EQ(ppid, parent);
  CHECK_EQ(pgrp, group);
  CHECK_EQ(sid, session);
  CHECK_EQ(sscanf(rest + 2, "%*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                            "%*s %llu", &start), 1);
  if (id == self && start_time == 0) start_time = start;
  if (id == self) CHECK_EQ(start, start_time);
}

static void verify_relative(void) {
  char line[512] = "";
  int process = (int)CHECK_SYS(open(text("/proc/%d", self), O_RDONLY | O_DIRECTORY));
  int fd = (int)CHECK_SYS(openat(process, "stat", O_RDONLY));
  CHECK(read(fd, line, sizeof line - 1) > 0);
  verify_stat(line, self);
  close(fd);
  fd = (int)CHECK_SYS(openat(process, text("task/%d/stat", tid), O_RDONLY));
  CHECK(read(fd, line, sizeof line - 1) > 0);
  verify_stat(line, tid);
  CHECK_EQ(fcntl(fd, F_GETFD), 0);
  CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
  CHECK_STR(link_of(text("/proc/self/fd/%d", fd)), text("/proc/%d/task/%d/stat", self, tid));
  close(fd);
  struct stat by_exe, by_path;
  CHECK_SYS(fstatat(process, "exe", &by_exe, 0));
  CHECK_SYS(stat("/proc/self/exe", &by_path));
  CHECK(by_exe.st_ino == by_path.st_ino && by_exe.st_dev == by_path.st_dev);
  CHECK_STR(link_of(text("/proc/self/fd/%d", process)), text("/proc/%d", self));
  close(process);
  CHECK_EQ(faccessat(task_fd, text("%d/comm", tid), R_OK | W_OK, 0), 0);

  char here[PATH_MAX];
  CHECK(getcwd(here, sizeof here) != NULL);
  CHECK_SYS(chdir(text("/proc/%d/task/%d", self, tid)));
  char there[PATH_MAX];
  CHECK(getcwd(there, sizeof there) != NULL);
  CHECK_STR(there, text("/proc/%d/task/%d", self, tid));
  CHECK_EQ(atoi(check_proc_field("status", "Pid:")), tid);
  CHECK_SYS(chdir(here));
}

static void verify(void) {
  CHECK_STR(link_of("/proc/self"), text("%d", self));
  CHECK_STR(link_of("/proc/thread-self"), text("%d/task/%d", self, self));
  verify_stat(check_read_line("/proc/self/stat"), self);
  verify_stat(check_read_line(text("/proc/%d/stat", self)), self);
  verify_stat(check_read_line(text("/proc/self/task/%d/stat", tid)), tid);
  const char* status = text("/proc/%d/task/%d/status", self, tid);
  CHECK_EQ(atoi(check_proc_field(status, "Pid:")), tid);
  CHECK_EQ(atoi(check_proc_field(status, "Tgid:")), self);
  CHECK_EQ(atoi(check_proc_field(status, "PPid:")), parent);
  CHECK_EQ(atoi(check_proc_field(status, "Threads:")), 2);
  CHECK_EQ(atoi(check_proc_field("/proc/self/status", "NSpgid:")), group);
  CHECK_EQ(atoi(check_proc_field("/proc/self/status", "NSsid:")), session);
  CHECK_EQ(lists((int)CHECK_SYS(open("/proc/self/task", O_RDONLY | O_DIRECTORY)), tid), 1);
  CHECK_EQ(lists((int)CHECK_SYS(open("/proc", O_RDONLY | O_DIRECTORY)), self), 1);
  CHECK_SYS(access(text("/proc/%d/fd", self), R_OK));
  struct stat info;
  CHECK_SYS(stat(text("/proc/self/task/%d", tid), &info));
  CHECK_ERRNO(stat(text("/proc/self/task/%d", 0x7ffffff), &info), ENOENT);
  // Another thread's name, as pthread_setname_np writes it.
  int comm = (int)CHECK_SYS(open(text("/proc/self/task/%d/comm", tid), O_RDWR));
  CHECK_EQ(write(comm, "other", 5), 5);
  close(comm);
  CHECK_STR(check_read_line(text("/proc/%d/task/%d/comm", self, tid)), "other");
  verify_relative();
}

static void verify_open_file(const char* name) {
  char bytes[4096];
  CHECK_SYS(prctl(PR_SET_NAME, name));
  CHECK_EQ(lseek(status_fd, 0, SEEK_SET), 0);
  ssize_t got = CHECK_SYS(read(status_fd, bytes, sizeof bytes - 1));
  bytes[got] = '\0';
  CHECK_EQ(strncmp(bytes, text("Name:\t%s\n", name), strlen(name) + 7), 0);
  CHECK(strstr(bytes, text("\nPid:\t%d\n", self)) != NULL);
  memset(bytes, 0, sizeof bytes);
  CHECK_SYS(prctl(PR_SET_NAME, "again"));
  CHECK(pread(status_fd, bytes, sizeof bytes - 1, 0) > 0);
  CHECK_EQ(strncmp(bytes, "Name:\tagain\n", 12), 0);
}

int main(void) {
  pthread_t thread;
  self = getpid(), parent = getppid(), group = getpgrp(), session = getsid(0);
  CHECK_OK(pthread_barrier_init(&done, NULL, 2));
  CHECK_OK(pthread_create(&thread, NULL, run, NULL));
  while (tid == 0) check_sleep_ms(1);
  status_fd = (int)CHECK_SYS(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  task_fd = (int)CHECK_SYS(open("/proc/self/task", O_RDONLY | O_DIRECTORY));
  CHECK_EQ(fcntl(status_fd, F_GETFD), FD_CLOEXEC);
  verify();
  verify_open_file("first");
  check_ready();
  check_wait();
  verify();
  verify_open_file("second");
  pthread_barrier_wait(&done);
  CHECK_OK(pthread_join(thread, NULL));
  check_pass();
}
