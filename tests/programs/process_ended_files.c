// Files of /proc that were opened of a process, and of a thread, that have ended: they can be read
// no more, and say so. While nobody has waited for the process, they can.
//
// flavours: all
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static int g_of_thread;

static void* body(void* unused) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/comm", (int)syscall(SYS_gettid));
  g_of_thread = (int)CHECK_SYS(open(path, O_RDONLY));
  return unused;
}

int main(void) {
  char path[64], byte;
  const pid_t child = (pid_t)CHECK_SYS(fork());
  if (child == 0)
    for (;;) pause();
  snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
  int of_process = (int)CHECK_SYS(open(path, O_RDONLY));
  snprintf(path, sizeof path, "/proc/%d", (int)child);
  int directory = (int)CHECK_SYS(open(path, O_RDONLY | O_DIRECTORY));
  CHECK_EQ(read(of_process, &byte, 1), 1);
  CHECK_SYS(kill(child, SIGKILL));
  CHECK_EQ(waitpid(child, NULL, 0), child);
  pid_t waiting = (pid_t)CHECK_SYS(fork());
  if (waiting == 0) _exit(5);
  snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)waiting, (int)waiting);
  int not_waited_for = (int)CHECK_SYS(open(path, O_RDONLY));
  siginfo_t info;
  CHECK_SYS(waitid(P_PID, (id_t)waiting, &info, WEXITED | WNOWAIT));
  pthread_t thread;
  CHECK_OK(pthread_create(&thread, NULL, body, NULL));
  CHECK_OK(pthread_join(thread, NULL));
  while (read(g_of_thread, &byte, 1) == 1)
    check_sleep_ms(1);  // joined before the kernel is done with it
  check_ready();
  check_wait();
  CHECK_ERRNO(pread(of_process, &byte, 1, 0), ESRCH);
  CHECK_ERRNO(pread(g_of_thread, &byte, 1, 0), ESRCH);
  char text[512] = "";
  CHECK(pread(not_waited_for, text, sizeof text - 1, 0) > 0);
  CHECK_EQ(strncmp(strchr(text, ')'), ") Z ", 4), 0);
  CHECK_EQ(waitpid(waiting, NULL, 0), waiting);
  CHECK_ERRNO(pread(not_waited_for, text, sizeof text, 0), ESRCH);
  CHECK_EQ(openat(directory, "stat", O_RDONLY), -1);
  check_pass();
}
