// Who am I: pid, tid, parent and group agree with each other from every angle, in every sort of child.
#include "common.h"
#include <linux/sched.h>
#include <sys/pidfd.h>
#include <sys/socket.h>

static int wrong;
#define SAME(a, b)                                                                        \
  do {                                                                                    \
    long left = (long)(a), right = (long)(b);                                             \
    if (left != right) wrong++, printf("line %d: %s is %ld, %s is %ld\n", __LINE__, #a, left, #b, right); \
  } while (0)

static long from_status(const char* path, const char* key) {
  FILE* file = fopen(path, "r");
  if (!file) return -2;
  char line[256];
  long value = -1;
  while (fgets(line, sizeof line, file))
    if (!strncmp(line, key, strlen(key))) value = atol(line + strlen(key));
  fclose(file);
  return value;
}

static long from_link(const char* path) {
  char text[64] = "";
  readlink(path, text, sizeof text - 1);
  char* slash = strrchr(text, '/');
  return atol(slash ? slash + 1 : text);
}

static void agree(pid_t parent) {
  SAME(getpid(), syscall(SYS_getpid));
  SAME(gettid(), syscall(SYS_gettid));
  SAME(getppid(), parent);
  SAME(getpid(), from_status("/proc/self/status", "Tgid:"));
  SAME(gettid(), from_status("/proc/thread-self/status", "Pid:"));
  SAME(getppid(), from_status("/proc/self/status", "PPid:"));
  SAME(getpid(), from_link("/proc/self"));
  SAME(gettid(), from_link("/proc/thread-self"));
  SAME(getpgid(0), getpgrp());
  SAME(getpgid(getpid()), getpgrp());
  SAME(getsid(0), getsid(getpid()));
  SAME(kill(getpid(), 0), 0);
  SAME(syscall(SYS_tgkill, getpid(), gettid(), 0), 0);
  int fd = pidfd_open(getpid(), 0);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  if (fd >= 0) SAME(from_status(path, "Pid:"), getpid());
  close(fd);
}

static volatile pid_t sender;
static void on_signal(int n, siginfo_t* info, void* c) { (void)n, (void)c; sender = info->si_pid; }
static void* in_thread(void* parent) {
  agree((pid_t)(long)parent);
  if (gettid() == getpid()) wrong++;
  return NULL;
}

static void in_child(const char* what, pid_t parent, int exiting) {
  pthread_t thread;
  agree(parent);
  pthread_create(&thread, NULL, in_thread, (void*)(long)parent);
  pthread_join(thread, NULL);
  kill(parent, SIGUSR1);
  printf("%s: %d wrong\n", what, wrong);
  fflush(stdout);
  if (exiting) _exit(wrong);
}

static void await(pid_t child, const char* what) {
  siginfo_t info = {0};
  MUST(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
  SAME(info.si_pid, child);
  int status;
  SAME(wait4(child, &status, 0, NULL), child);
  SAME(sender, child);
  print_status(what, status);
  fflush(stdout);
}

int main(int argc, char** argv) {
  pid_t self = getpid();
  if (argc == 3) {  // after exec: the same process
    SAME(getpid(), atol(argv[1]));
    in_child(argv[2], getppid(), 1);
  }
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  agree(getppid());
  fflush(stdout);
  pid_t child = fork();
  if (!child) in_child("fork", self, 1);
  await(child, "fork");

  child = vfork();
  if (!child) {
    char text[16];
    snprintf(text, sizeof text, "%d", getpid());
    execl("/proc/self/exe", argv[0], text, "vfork+exec", NULL);
    _exit(88);
  }
  await(child, "vfork+exec");

  pid_t in_parent = 0, in_own = 0;
  child = syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, NULL, &in_parent, &in_own, 0);
  if (!child) {
    SAME(in_own, syscall(SYS_gettid));
    agree(self);
    kill(self, SIGUSR1);
    _exit(wrong);
  }
  SAME(in_parent, child);
  await(child, "clone");

  int pidfd = -1;
  struct clone_args arguments = {.flags = CLONE_PIDFD | CLONE_PARENT_SETTID, .pidfd = (unsigned long)&pidfd,
                                 .parent_tid = (unsigned long)&in_parent, .exit_signal = SIGCHLD};
  child = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (!child) {
    kill(self, SIGUSR1);
    _exit(0);
  }
  if (child > 0) {
    SAME(in_parent, child);
    siginfo_t info = {0};
    SAME(waitid(P_PIDFD, pidfd, &info, WEXITED | WNOWAIT), 0);
    SAME(info.si_pid, child);
    await(child, "clone3");
  } else {
    printf("clone3: exit 0\n");  // answered ENOSYS: libraries fall back
  }

  int sockets[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
  struct ucred peer;
  socklen_t length = sizeof peer;
  getsockopt(sockets[0], SOL_SOCKET, SO_PEERCRED, &peer, &length);
  SAME(peer.pid, getpid());
  fcntl(sockets[0], F_SETOWN, getpid());
  SAME(fcntl(sockets[0], F_GETOWN), getpid());
  struct flock lock = {.l_type = F_WRLCK};
  int file = open("lock", O_RDWR | O_CREAT, 0600);
  fcntl(file, F_SETLK, &lock);
  child = fork();
  if (!child) {
    fcntl(file, F_GETLK, &lock);
    SAME(lock.l_pid, self);
    SAME(setsid(), getpid());
    SAME(getsid(0), getpid());
    SAME(getpgrp(), getpid());
    kill(self, SIGUSR1);
    _exit(wrong);
  }
  await(child, "lock owner, session");
  SAME(syscall(SYS_set_tid_address, &in_own), gettid());
  printf("%d wrong\n", wrong);
  return wrong != 0;
}
