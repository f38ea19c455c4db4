// posix_spawn, vfork, system and popen: every error must reach the parent as it does natively.
#include "common.h"
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

extern char** environ;

static void spawn(const char* what, const char* path, char* const argv[], posix_spawn_file_actions_t* actions,
                  posix_spawnattr_t* attributes) {
  pid_t child = 0;
  fflush(stdout);
  int error = posix_spawn(&child, path, actions, attributes, argv, environ);
  if (error) {
    printf("%s: %s\n", what, errno_name(error));
    return;
  }
  int status;
  MUST(waitpid(child, &status, 0));
  print_status(what, status);
}

static void write_file(const char* path, const char* text, int mode) {
  int fd = MUST(open(path, O_WRONLY | O_CREAT | O_TRUNC, mode));
  MUST(write(fd, text, strlen(text)));
  close(fd);
}

static void file_actions(char* const sh[]) {
  posix_spawn_file_actions_t a;
  posix_spawn_file_actions_init(&a);
  posix_spawn_file_actions_adddup2(&a, 700, 1);
  spawn("dup2 of a closed descriptor", "/bin/true", sh, &a, NULL);
  posix_spawn_file_actions_init(&a);
  posix_spawn_file_actions_addopen(&a, 1, "/no/such/file", O_RDONLY, 0);
  spawn("open of nothing", "/bin/true", sh, &a, NULL);
  posix_spawn_file_actions_init(&a);
  posix_spawn_file_actions_addchdir_np(&a, "/no/such/place");
  spawn("chdir to nowhere", "/bin/true", sh, &a, NULL);
  posix_spawn_file_actions_init(&a);
  posix_spawn_file_actions_addchdir_np(&a, "/usr");
  posix_spawn_file_actions_addopen(&a, 5, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&a, 5, 900);
  posix_spawn_file_actions_addclose(&a, 5);
  posix_spawn_file_actions_addclosefrom_np(&a, 901);
  spawn("chdir, open, dup2, close", "/bin/sh",
        (char*[]){"sh", "-c", "pwd; ls /proc/self/fd | tr '\\n' ' '; echo", NULL}, &a, NULL);
}

static void attributes(void) {
  posix_spawnattr_t a;
  sigset_t set;
  char* report[] = {"grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status", NULL};
  signal(SIGUSR1, SIG_IGN);
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
  sigprocmask(SIG_BLOCK, &set, NULL);
  spawn("inherited", "/bin/grep", report, NULL, NULL);
  posix_spawnattr_init(&a);
  posix_spawnattr_setflags(&a, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  sigemptyset(&set);
  posix_spawnattr_setsigmask(&a, &set);
  sigaddset(&set, SIGUSR1);
  posix_spawnattr_setsigdefault(&a, &set);
  posix_spawnattr_setpgroup(&a, 0);
  spawn("mask, defaults, group", "/bin/grep", report, NULL, &a);
  posix_spawnattr_init(&a);
  posix_spawnattr_setflags(&a, POSIX_SPAWN_SETSID);
  spawn("session", "/bin/sh",
        (char*[]){"sh", "-c", "set -- $(cut -d' ' -f5,6 /proc/$$/stat); [ $1 = $$ ] && [ $2 = $$ ] && echo own", NULL},
        NULL, &a);
  sigfillset(&set);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void vforks(void) {
  int* shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int n = 0; n < 50; n++) {
    *shared = 0;
    pid_t child = vfork();
    if (!child) {
      execl("/no/such/program", "x", NULL);
      *shared = errno;  // seen by the parent: memory is shared until exec or exit
      _exit(9);
    }
    int status;
    MUST(waitpid(child, &status, 0));
    if (n == 0 || *shared != ENOENT || WEXITSTATUS(status) != 9)
      printf("vfork, exec failed: %s, exit %d\n", errno_name(*shared), WEXITSTATUS(status));
  }
  pid_t child = vfork();
  if (!child) {
    execl("/bin/sh", "sh", "-c", "exit 42", NULL);
    _exit(1);
  }
  int status;
  waitpid(child, &status, 0);
  print_status("vfork, exec", status);
}

int main(void) {
  char* sh[] = {"sh", "-c", "exit 3", NULL};
  write_file("plain", "not a program\n", 0644);
  write_file("garbage", "\177ELFgarbage", 0755);
  write_file("noformat", "exit 5\n", 0755);
  write_file("script", "#!/bin/sh -e\nexit 6\n", 0755);
  write_file("orphan", "#!/no/such/interpreter\n", 0755);
  mkdir("directory", 0755);
  symlink("loop", "loop");
  spawn("program", "/bin/sh", sh, NULL, NULL);
  spawn("killed", "/bin/sh", (char*[]){"sh", "-c", "kill -9 $$", NULL}, NULL, NULL);
  const char* bad[] = {"/no/such", "plain", "garbage", "noformat", "orphan", "directory", "loop", "plain/x", ""};
  for (unsigned n = 0; n < sizeof bad / sizeof *bad; n++) spawn(bad[n], bad[n], sh, NULL, NULL);
  spawn("script", "./script", sh, NULL, NULL);
  static char huge[4 << 20];
  memset(huge, 'x', sizeof huge - 1);
  spawn("too big", "/bin/true", (char*[]){"true", huge, NULL}, NULL, NULL);
  pid_t child;
  fflush(stdout);
  printf("spawnp nothing: %s\n", errno_name(posix_spawnp(&child, "no-such-program", NULL, NULL, sh, environ)));
  file_actions(sh);
  attributes();
  vforks();
  print_status("system", system("exit 11"));
  print_status("system of nothing", system("no-such-program 2>/dev/null"));
  FILE* stream = popen("echo from popen", "r");
  char line[64] = "";
  fgets(line, sizeof line, stream);
  printf("popen: %s", line);
  print_status("pclose", pclose(stream));
  return 0;
}
