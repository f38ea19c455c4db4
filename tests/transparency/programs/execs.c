// execve: its errors, what it keeps and what it drops, scripts, fexecve, odd argument lists.
#include "common.h"
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

static void show(int argc, char** argv) {
  sigset_t mask, waiting;
  struct sigaction ignored, caught;
  struct itimerval timer;
  sigprocmask(SIG_SETMASK, NULL, &mask);
  sigpending(&waiting);
  sigaction(SIGHUP, NULL, &ignored);
  sigaction(SIGUSR1, NULL, &caught);
  getitimer(ITIMER_REAL, &timer);
  stack_t stack;
  sigaltstack(NULL, &stack);
  mode_t creation = umask(0);
  char name[32];
  prctl(PR_GET_NAME, name);
  printf("  %d arguments, first '%s'; name %s\n", argc, argc ? argv[0] : "-", name);
  printf("  blocked USR2 %d, pending USR2 %d, HUP ignored %d, USR1 default %d\n", sigismember(&mask, SIGUSR2),
         sigismember(&waiting, SIGUSR2), ignored.sa_handler == SIG_IGN, caught.sa_handler == SIG_DFL);
  printf("  alarm %s, umask %o, nice %d, alternate stack %d\n", timer.it_value.tv_sec > 900 ? "kept" : "lost",
         creation, getpriority(PRIO_PROCESS, 0), stack.ss_flags);
  printf("  cloexec %s, other %s, no_new_privs %d, dumpable %d\n", fcntl(20, F_GETFD) < 0 ? "closed" : "OPEN",
         fcntl(21, F_GETFD) < 0 ? "CLOSED" : "open", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_DUMPABLE));
}

static void in_child(const char* what, int (*call)(void)) {
  printf("%s:\n", what);
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    call();
    printf("  %s\n", errno_name(errno));
    fflush(stdout);
    _exit(1);
  }
  int status;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) print_status("  ended", status);
}

static char* self;
static int again(void) { return execl(self, "another name", "show", NULL); }
static int no_arguments(void) { return execve(self, (char*[]){NULL}, (char*[]){NULL}); }
static int by_descriptor(void) { return fexecve(open(self, O_RDONLY | O_CLOEXEC), (char*[]){"by descriptor", "show", NULL}, environ); }
static int empty_path(void) { return syscall(SYS_execveat, open(self, O_PATH), "", (char*[]){"empty path", "show", NULL}, environ, 0x1000); }
static int by_link(void) { symlink(self, "link"); return execl("./link", "link", "show", NULL); }
static int through_proc(void) { return execl("/proc/self/exe", "through proc", "show", NULL); }
static int script(void) { return execl("./script", "script", "a b", NULL); }
static int nested_script(void) { return execl("./nested", "nested", "c", NULL); }
static int script_by_descriptor(void) { return fexecve(open("./script", O_RDONLY), (char*[]){"x", "d", NULL}, environ); }
static int script_cloexec(void) { return fexecve(open("./script", O_RDONLY | O_CLOEXEC), (char*[]){"x", "d", NULL}, environ); }
static int orphan(void) { return execl("./orphan", "x", NULL); }
static int endless(void) { return execl("./endless", "x", NULL); }
static int nothing(void) { return execl("/no/such", "x", NULL); }
static int directory(void) { return execl("/usr", "x", NULL); }
static int garbage(void) { return execl("./garbage", "x", NULL); }
static int empty(void) { return execl("./empty", "x", NULL); }
static int forbidden(void) { return execl("./forbidden", "x", NULL); }
static int looped(void) { return execl("./loop", "x", NULL); }
static int too_long(void) { char name[5000]; memset(name, 'x', 4999); name[4999] = 0; return execl(name, "x", NULL); }
static int bad_pointer(void) { return syscall(SYS_execve, 8L, 0L, 0L); }
static int bad_arguments(void) { return syscall(SYS_execve, self, 8L, 0L); }
static int being_written(void) { open("busy", O_RDWR); return execl("./busy", "x", NULL); }

static void file(const char* path, const char* text, int mode) {
  int fd = MUST(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700));
  MUST(write(fd, text, strlen(text)));
  fchmod(fd, mode);
  close(fd);
}

int main(int argc, char** argv) {
  if (argc == 0 || !strcmp(argv[argc - 1], "show") || argc == 1 && !getenv("PATH")) return show(argc, argv), 0;
  setvbuf(stdout, NULL, _IOLBF, 0);
  self = realpath("/proc/self/exe", NULL);
  const char* wanted = strrchr(self, '/');
  printf("/proc/self/exe: %s\n", wanted);
  file("script", "#!/bin/sh -e\necho \"script: $0: $1\"\n", 0755);
  char text[300];
  snprintf(text, sizeof text, "#!%s/script nested argument\n", getcwd((char[200]){0}, 200));
  file("nested", text, 0755);
  file("orphan", "#!/no/such/interpreter\n", 0755);
  file("endless", "#!./endless\n", 0755);
  file("garbage", "\177ELF-and-nothing-else", 0755);
  file("empty", "", 0755);
  file("forbidden", "#!/bin/sh\n", 0644);
  file("busy", "#!/bin/sh\necho ran\n", 0755);
  symlink("loop", "loop");
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGHUP, SIG_IGN);
  signal(SIGUSR1, (void (*)(int))show);
  umask(027);
  static char area[1 << 16];
  sigaltstack(&(stack_t){.ss_sp = area, .ss_size = sizeof area}, NULL);
  struct { const char* what; int (*call)(void); } table[] = {
      {"again", again}, {"no arguments", no_arguments}, {"fexecve", by_descriptor}, {"empty path", empty_path},
      {"symbolic link", by_link}, {"/proc/self/exe", through_proc}, {"script", script}, {"nested script", nested_script},
      {"script by descriptor", script_by_descriptor}, {"script, cloexec", script_cloexec}, {"orphan", orphan},
      {"endless", endless}, {"nothing", nothing}, {"directory", directory}, {"garbage", garbage}, {"empty", empty},
      {"forbidden", forbidden}, {"loop", looped}, {"too long", too_long}, {"bad pointer", bad_pointer},
      {"bad arguments", bad_arguments}, {"being written", being_written}};
  int null = open("/dev/null", O_RDONLY);
  dup3(null, 20, O_CLOEXEC);
  dup2(null, 21);
  in_child("again, plain", again);
  raise(SIGUSR2);
  alarm(1000);
  for (unsigned n = 0; n < sizeof table / sizeof *table; n++) in_child(table[n].what, table[n].call);
  execl(self, "with pending", "show", NULL);  // the pending signal stays over exec, but not over fork
  return 1;
}
