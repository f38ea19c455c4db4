// Every signal with every disposition, sent by itself and by its parent: what happens to the process.
#include "common.h"
#include <sys/prctl.h>
#include <sys/resource.h>

static volatile sig_atomic_t handled;
static void handler(int number) { handled = number; }

static const char* name(int number) {
  static char text[16];
  if (number < 32) return sigabbrev_np(number);
  snprintf(text, sizeof text, "%d", number);
  return text;
}

// The child says it is ready by a byte, then waits; the parent sends. With `own` it sends to itself.
static void try_one(int number, int disposition, int own) {
  int ready[2];
  MUST(pipe(ready));
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    void (*const table[])(int) = {SIG_DFL, SIG_IGN, handler};
    struct sigaction action = {.sa_handler = table[disposition]};
    int refused = sigaction(number, &action, NULL);
    if (own) {
      syscall(SYS_tgkill, getpid(), gettid(), number);
      _exit(refused ? 50 : handled == number ? 60 : 70);
    }
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    write(ready[1], "r", 1);
    struct timespec brief = {0, 30000000};
    while (nanosleep(&brief, &brief) && !handled) {}
    _exit(refused ? 50 : handled == number ? 60 : 70);
  }
  char byte;
  if (!own) {
    read(ready[0], &byte, 1);
    kill(child, number);
  }
  int status;
  for (;;) {
    MUST(waitpid(child, &status, WUNTRACED | WCONTINUED));
    char what[64];
    snprintf(what, sizeof what, "SIG%s %s %s", name(number), ((const char*[]){"DFL", "IGN", "handler"})[disposition],
             own ? "to itself" : "from parent");
    print_status(what, status);
    if (WIFSTOPPED(status)) kill(child, SIGCONT);
    else if (!WIFCONTINUED(status)) break;
  }
  close(ready[0]);
  close(ready[1]);
}

int main(void) {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  for (int number = 1; number <= 64; number++) {
    if (number == 32 || number == 33) continue;  // glibc's own
    for (int disposition = 0; disposition < 3; disposition++)
      for (int own = 0; own < 2; own++) try_one(number, disposition, own);
  }
  return 0;
}
