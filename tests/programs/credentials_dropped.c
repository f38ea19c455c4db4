// Processes of root's job that have become another user's, as servers do: one goes on, one runs a
// program, and both write files; the job is saved with them and comes back, files and all.
//
// flavours: all
// run-on: always
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { kUser = 65534 };
static int g_commands[2][2], g_answers[2][2];

static void drop(void) {
  CHECK_SYS(setgroups(0, NULL));
  CHECK_SYS(setresgid(kUser, kUser, kUser));
  CHECK_SYS(setresuid(kUser, kUser, kUser));
}

static void expect_user(void) {
  uid_t r, e, s;
  CHECK_SYS(getresuid(&r, &e, &s));
  CHECK_EQ(r, kUser);
  CHECK_EQ(e, kUser);
  CHECK_EQ(s, kUser);
}

static void write_file(const char* name, const char* text) {
  int fd = (int)CHECK_SYS(open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  CHECK_EQ(write(fd, text, strlen(text)), (long long)strlen(text));
  CHECK_SYS(close(fd));
}

static void expect_file(const char* name, const char* text) {
  char got[32] = "";
  int fd = (int)CHECK_SYS(open(name, O_RDONLY));
  CHECK(read(fd, got, sizeof got - 1) >= 0);
  CHECK_STR(got, text);
  CHECK_SYS(close(fd));
}

// Each command is a line: w: write over the file; v: it is as it was; e: end.
static void serve(int commands, int answers) {
  char line[2];
  while (read(commands, line, 2) == 2 && line[0] != 'e') {
    expect_user();
    if (line[0] == 'w') write_file("zero", "changed after");
    if (line[0] == 'v') expect_file("zero", "as it was");
    CHECK_EQ(write(answers, line, 2), 2);
  }
  _exit(0);
}

static char kServer[] =
    "test $(id -u) = 65534 || exit 1\n"
    "while read -r c; do case $c in\n"
    "  w) printf 'changed after' >one ;;\n"
    "  v) test \"$(cat one)\" = 'as it was' || exit 1 ;;\n"
    "  e) exit 0 ;;\n"
    "esac; echo $c; done";

static void ask(int i, char command) {
  char line[2] = {command, '\n'}, answer[2] = "";
  CHECK_EQ(write(g_commands[i][1], line, 2), 2);
  CHECK_EQ(read(g_answers[i][0], answer, 2), 2);
  CHECK_EQ(answer[0], command);
}

static void hook(void) {
  ask(0, 'w'), ask(1, 'w');
}

int main(void) {
  pid_t pids[2];
  if (geteuid() != 0) check_skip("only root's processes can become another user's");
  CHECK_SYS(mkdir(check_path("dropped"), 0700));
  CHECK_SYS(chown(check_path("dropped"), kUser, kUser));
  CHECK_SYS(chdir(check_path("dropped")));  // what is above it may be closed to that user
  for (int i = 0; i < 2; ++i) {
    CHECK_SYS(pipe2(g_commands[i], O_CLOEXEC));
    CHECK_SYS(pipe2(g_answers[i], O_CLOEXEC));
    pids[i] = (pid_t)CHECK_SYS(fork());
    if (pids[i] != 0) continue;
    drop();
    write_file(i == 0 ? "zero" : "one", "as it was");
    CHECK_SYS(close(g_answers[i][0]));
    CHECK_SYS(close(g_commands[i][1]));
    if (i == 0) serve(g_commands[0][0], g_answers[0][1]);
    CHECK_SYS(dup2(g_commands[1][0], 0));
    CHECK_SYS(dup2(g_answers[1][1], 1));
    CHECK_SYS(execl("/bin/sh", "sh", "-c", kServer, NULL));
  }
  for (int i = 0; i < 2; ++i) CHECK_SYS(close(g_commands[i][0]) + close(g_answers[i][1]));
  ask(0, 'v'), ask(1, 'v');
  check_on_run_on(hook);
  check_ready();
  check_wait();
  ask(0, 'v'), ask(1, 'v');
  for (int i = 0; i < 2; ++i) {
    int status = -1;
    CHECK_EQ(write(g_commands[i][1], "e\n", 2), 2);
    CHECK_EQ(waitpid(pids[i], &status, 0), pids[i]);
    CHECK_EQ(status, 0);
  }
  check_pass();
}
