#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

extern char** environ;

static char directory[PATH_MAX / 2];
static char command_link[PATH_MAX];
static char files[PATH_MAX];
static char last_command[64];
static void (*run_on_hook)(void);
static int busy, released, eintr_expected;
static char** arguments;

static void make_path(char* out, const char* name) {
  snprintf(out, PATH_MAX, "%s/%s", directory, name);
}

// Runs before main. The n-th exec of a busy program works in files-n.
__attribute__((constructor)) static void check_start(int argc, char** argv) {
  (void)argc;
  arguments = argv;
  const char* given = getenv("CHECK_DIR");
  if (given == NULL || given[0] != '/') {
    fprintf(stderr,
            "CHECK_DIR must name an absolute directory; run me by tests/driver/cairn_check.py\n");
    exit(2);
  }
  snprintf(directory, sizeof directory, "%s", given);
  make_path(command_link, "command");
  busy = getenv("CHECK_BUSY") != NULL;
  const char* round = getenv("CHECK_ROUND");
  char name[32];
  snprintf(name, sizeof name, "files%s%s", round ? "-" : "", round ? round : "");
  make_path(files, name);
  if (mkdir(files, 0700) != 0 && errno != EEXIST)
    check_fail(__FILE__, __LINE__, "mkdir %s: %s", files, strerror(errno));
}

static void make_file(const char* name) {
  char path[PATH_MAX];
  make_path(path, name);
  if (syscall(SYS_mknodat, AT_FDCWD, path, S_IFREG | 0600, 0) != 0 && errno != EEXIST)
    check_fail(__FILE__, __LINE__, "cannot create %s: %s", path, strerror(errno));
}

// A busy program that is not released begins again, with what exec would hand over cleared.
static void run_again(void) {
  const char* round = getenv("CHECK_ROUND");
  char next[32];
  snprintf(next, sizeof next, "%ld", (round ? atol(round) : 0) + 1);
  setenv("CHECK_ROUND", next, 1);

  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
  struct itimerval off = {0};
  setitimer(ITIMER_REAL, &off, NULL);
  setitimer(ITIMER_VIRTUAL, &off, NULL);
  setitimer(ITIMER_PROF, &off, NULL);
  for (int pass = 0; pass < 2; ++pass) {  // ignoring discards what is pending
    for (int number = 1; number <= SIGRTMAX; ++number)
      signal(number, pass == 0 ? SIG_IGN : SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  syscall(SYS_close_range, 3u, ~0u, 0);
  check_sleep_ms(1);  // bounds the number of rounds, and with it of directories
  execve(arguments[0], arguments, environ);
  check_fail(__FILE__, __LINE__, "exec of the next round: %s", strerror(errno));
}

// Reads and obeys the driver's command; true once released.
static int obey(void) {
  char command[sizeof last_command];
  if (released) return 1;
  ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, command_link, command, sizeof command - 1);
  if (length < 0) {
    if (errno == ENOENT) return 0;
    check_fail(__FILE__, __LINE__, "readlink %s: %s", command_link, strerror(errno));
  }
  command[length] = '\0';
  if (strcmp(command, last_command) == 0) return 0;
  memcpy(last_command, command, sizeof command);
  if (strcmp(command, "release") == 0) {
    released = 1;
    return 1;
  }
  if (strncmp(command, "run-on", 6) == 0 && run_on_hook != NULL) run_on_hook();
  char answer[80];
  snprintf(answer, sizeof answer, "done-%s", command);
  make_file(answer);
  return 0;
}

void check_ready(void) {
  make_file("ready");
}

int check_is_busy(void) {
  return busy;
}

int check_busy(void) {
  return busy && !obey();
}

void check_expect_eintr(void) {
  eintr_expected = 1;
}

void check_on_run_on(void (*hook)(void)) {
  run_on_hook = hook;
}

void check_wait(void) {
  long process = syscall(SYS_getpid), thread = syscall(SYS_gettid);
  int64_t last = check_nanoseconds(CLOCK_MONOTONIC);
  while (!obey() && !busy) {
    struct timespec tick = {0, 10 * 1000 * 1000};
    if (syscall(SYS_nanosleep, &tick, NULL) != 0 && (errno != EINTR || !eintr_expected))
      check_fail(__FILE__, __LINE__, "nanosleep while waiting: expected 0, got %s",
                 strerror(errno));
    int64_t now = check_nanoseconds(CLOCK_MONOTONIC);
    CHECK_EQ(syscall(SYS_getpid), process);
    CHECK_EQ(syscall(SYS_gettid), thread);
    if (now < last)
      check_fail(__FILE__, __LINE__, "CLOCK_MONOTONIC went back from %lld to %lld", (long long)last,
                 (long long)now);
    last = now;
  }
}

void check_until_asleep(pid_t thread) {
  char path[64], text[256];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)thread);
  for (int seen = 0; seen < 3;) {
    check_sleep_ms(3);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) check_fail(__FILE__, __LINE__, "open %s: %s", path, strerror(errno));
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    CHECK(length > 0);
    text[length] = '\0';
    const char* after_name = strrchr(text, ')');
    CHECK(after_name != NULL);
    seen = after_name[2] == 'S' ? seen + 1 : 0;
  }
}

const char* check_path(const char* name) {
  char* path = NULL;
  if (asprintf(&path, "%s/%s", files, name) < 0) check_fail(__FILE__, __LINE__, "no memory");
  return path;
}

static void write_result(const char* line) {
  char path[PATH_MAX];
  make_path(path, "result");
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) _exit(3);  // another thread was first: its verdict stands
  ssize_t length = (ssize_t)strlen(line);
  if (write(fd, line, (size_t)length) != length) _exit(4);
  close(fd);
}

void check_pass(void) {
  if (busy && !obey()) run_again();
  write_result("PASS\n");
  exit(0);
}

void check_skip(const char* reason) {
  char line[512];
  snprintf(line, sizeof line, "SKIP %s\n", reason);
  write_result(line);
  _exit(77);
}

void check_fail(const char* file, int line, const char* format, ...) {
  char text[1024];
  const char* base = strrchr(file, '/');
  int used = snprintf(text, sizeof text, "FAIL %s:%d: ", base ? base + 1 : file, line);
  va_list arguments_;
  va_start(arguments_, format);
  vsnprintf(text + used, sizeof text - (size_t)used - 1, format, arguments_);
  va_end(arguments_);
  strcat(text, "\n");
  write_result(text);
  _exit(1);
}

// splitmix64: every 8 bytes depend on their own position only.
static uint64_t mixed(uint64_t seed, uint64_t index) {
  uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void check_fill(void* at, size_t bytes, uint64_t seed) {
  unsigned char* out = at;
  for (size_t i = 0; i < bytes; i += 8) {
    uint64_t value = mixed(seed, i / 8);
    memcpy(out + i, &value, bytes - i < 8 ? bytes - i : 8);
  }
}

void check_bytes(const void* at, size_t bytes, uint64_t seed, const char* file, int line) {
  const unsigned char* in = at;
  for (size_t i = 0; i < bytes; i += 8) {
    uint64_t want = mixed(seed, i / 8), got = want;
    memcpy(&got, in + i, bytes - i < 8 ? bytes - i : 8);
    if (got != want)
      check_fail(file, line, "bytes at %zu of %zu: expected %#llx, got %#llx", i, bytes,
                 (unsigned long long)want, (unsigned long long)got);
  }
}

int64_t check_nanoseconds(clockid_t clock) {
  struct timespec now;
  if (clock_gettime(clock, &now) != 0)
    check_fail(__FILE__, __LINE__, "clock_gettime(%d): %s", (int)clock, strerror(errno));
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void check_sleep_ms(long milliseconds) {
  struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  while (nanosleep(&left, &left) != 0) {
    if (errno != EINTR) check_fail(__FILE__, __LINE__, "nanosleep: %s", strerror(errno));
  }
}

const char* check_read_line(const char* path) {
  char* text = NULL;
  size_t space = 0;
  FILE* file = fopen(path, "re");
  if (file == NULL) check_fail(__FILE__, __LINE__, "open %s: %s", path, strerror(errno));
  ssize_t length = getline(&text, &space, file);
  fclose(file);
  if (length < 0) check_fail(__FILE__, __LINE__, "%s is empty", path);
  text[strcspn(text, "\n")] = '\0';
  return text;
}

const char* check_proc_field(const char* path, const char* key) {
  char* text = NULL;
  size_t space = 0;
  FILE* file = fopen(path, "re");
  if (file == NULL) check_fail(__FILE__, __LINE__, "open %s: %s", path, strerror(errno));
  while (getline(&text, &space, file) > 0) {
    if (strncmp(text, key, strlen(key)) != 0) continue;
    fclose(file);
    text[strcspn(text, "\n")] = '\0';
    return text + strlen(key) + strspn(text + strlen(key), " \t");
  }
  check_fail(__FILE__, __LINE__, "%s has no %s", path, key);
}
