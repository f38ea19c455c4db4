// Children made after a restart by fork, vfork, posix_spawn, popen and system run and report their
// exit codes; SIGCHLD names them.
//
// flavours: all
// not: busy because a checkpoint of a tree of processes is refused for now
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

extern char** environ;
static volatile pid_t reported;
static volatile int reported_status;

static void on_child(int number, siginfo_t* info, void* context) {
  (void)number, (void)context;
  reported = info->si_pid;
  reported_status = info->si_status;
}

static int exit_code(pid_t child) {
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static void verify(void) {
  pid_t self = getpid(), child = (pid_t)CHECK_SYS(fork());
  if (child == 0) _exit(getppid() == self && getpid() != self ? 37 : 1);
  siginfo_t info;
  CHECK_SYS(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
  CHECK_EQ(info.si_pid, child);
  CHECK_EQ(info.si_status, 37);
  while (reported != child) check_sleep_ms(1);
  CHECK_EQ(reported_status, 37);
  CHECK_EQ(exit_code(child), 37);

  child = vfork();
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", "exit 12", (char*)NULL);
    _exit(127);
  }
  CHECK_EQ(exit_code(child), 12);

  char* const arguments[] = {"sh", "-c", "exit 200", NULL};
  CHECK_OK(posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ));
  CHECK_EQ(exit_code(child), 200);
  CHECK_EQ(posix_spawn(&child, "/no/such/program", NULL, NULL, arguments, environ), ENOENT);

  FILE* output = popen("echo from the child; exit 5", "r");
  char text[64] = "";
  CHECK(output != NULL && fgets(text, sizeof text, output) != NULL);
  CHECK_STR(text, "from the child\n");
  CHECK_EQ(WEXITSTATUS(pclose(output)), 5);
  CHECK_EQ(WEXITSTATUS(system("exit 9")), 9);
  CHECK_ERRNO(wait(NULL), ECHILD);
}

int main(void) {
  struct sigaction action = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART};
  CHECK_SYS(sigaction(SIGCHLD, &action, NULL));
  check_expect_eintr();
  verify();
  check_ready();
  check_wait();
  verify();
  check_pass();
}
