// Children made after a restart die by exactly the signal that should kill them, with a core flag
// where the default action says so, and only a handler's absence decides.
//
// flavours: all
// not: busy because a checkpoint of a tree of processes is refused for now
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void kill_one(int number) {
  pid_t child = (pid_t)CHECK_SYS(fork());
  if (child == 0) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(number, SIG_DFL);
    kill(getpid(), number);
    _exit(99);
  }
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(WIFSIGNALED(status));
  CHECK_EQ(WTERMSIG(status), number);
}

int main(void) {
  const int numbers[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGILL,  SIGTRAP, SIGABRT,  SIGBUS,
                         SIGFPE,  SIGKILL, SIGUSR1, SIGSEGV, SIGUSR2, SIGPIPE,  SIGALRM,
                         SIGTERM, SIGXCPU, SIGPROF, SIGSYS,  SIGPWR,  SIGRTMIN, SIGRTMAX};
  check_ready();
  check_wait();
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; ++i) kill_one(numbers[i]);
  check_pass();
}
