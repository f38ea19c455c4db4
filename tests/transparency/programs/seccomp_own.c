// A program with a seccomp filter of its own: its error, its trap and its kill.
#include "common.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <ucontext.h>

static void on_trap(int n, siginfo_t* info, void* context) {
  printf("trap: SIG%s code %d call %d arch %x\n", sigabbrev_np(n), info->si_code, info->si_syscall, info->si_arch);
  ((ucontext_t*)context)->uc_mcontext.gregs[REG_RAX] = 1234;
}

#define ALLOW(name) \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define LOAD_NUMBER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))

// What is not listed kills: whatever somebody else does inside of this process must not count.
static volatile int alarms;
static void on_alarm(int n) { (void)n; alarms++; }
static void list_of_few(void) {
  struct sock_filter filter[] = {LOAD_NUMBER, ALLOW(read), ALLOW(write), ALLOW(exit_group), ALLOW(rt_sigreturn),
                                 ALLOW(restart_syscall), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  int pipes[2];
  char byte;
  MUST(pipe(pipes));
  signal(SIGSYS, SIG_DFL);
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval fast = {{0, 1000}, {0, 1000}};
  MUST(setitimer(ITIMER_REAL, &fast, NULL));
  MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
  while (alarms < 100)
    if (read(pipes[0], &byte, 1) != -1 || errno != EINTR) _exit(1);
  if (write(1, "a hundred alarms\n", 17) != 17) _exit(2);
  getppid();  // not listed
  _exit(3);
}
static void strict(void) {
  MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
  if (write(1, "strict\n", 7) != 7) syscall(SYS_exit, 1);
  syscall(SYS_getpid);
  syscall(SYS_exit, 2);
}
static void trap_blocked(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGSYS);
  sigprocmask(SIG_BLOCK, &set, NULL);
  syscall(SYS_ustat, 0, 0);
  _exit(0);
}
static void* other_thread(void* turn) {
  pthread_barrier_wait(turn);
  pthread_barrier_wait(turn);
  printf("thread: %s\n", syscall(SYS_getpgid, 0) == -1 ? errno_name(errno) : "worked");
  return NULL;
}
static void all_threads(void) {
  struct sock_filter filter[] = {LOAD_NUMBER, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 1),
                                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  pthread_barrier_t turn;
  pthread_barrier_init(&turn, NULL, 2);
  pthread_t thread;
  pthread_create(&thread, NULL, other_thread, &turn);
  pthread_barrier_wait(&turn);
  MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program));
  pthread_barrier_wait(&turn);
  pthread_join(thread, NULL);
  fflush(stdout);
  _exit(0);
}
static void in_child(const char* name, void (*f)(void)) {
  fflush(stdout);
  pid_t child = fork();
  if (!child) f();
  int status;
  waitpid(child, &status, 0);
  print_status(name, status);
}
static void refusals(void) {
  struct sock_filter bad[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), BPF_STMT(BPF_RET | BPF_K, 0)};
  struct sock_filter endless[] = {BPF_STMT(BPF_LD | BPF_IMM, 1)};
  struct sock_filter far[] = {BPF_JUMP(BPF_JMP | BPF_JA, 5, 0, 0), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog programs[] = {{2, bad}, {1, endless}, {2, far}, {0, bad}, {2, (void*)8}};
  for (int n = 0; n < 5; n++)
    printf("refused %d: %s\n", n, prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &programs[n]) ? errno_name(errno) : "worked");
  printf("no program: %s\n", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) ? errno_name(errno) : "worked");
  printf("mode 7: %s\n", prctl(PR_SET_SECCOMP, 7, NULL) ? errno_name(errno) : "worked");
  printf("flags: %s\n", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 1 << 20, NULL) ? errno_name(errno) : "worked");
}

int main(int argc, char** argv) {
  if (argc > 1) {
    printf("after exec: mode %d, %s\n", prctl(PR_GET_SECCOMP), syscall(SYS_sysinfo, 0) ? errno_name(errno) : "worked");
    return 0;
  }
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sysinfo, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ustat, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_acct, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  in_child("strict", strict);
  struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
  sigaction(SIGSYS, &action, NULL);
  MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
  printf("mode %d\n", prctl(PR_GET_SECCOMP));
  printf("error: %s\n", syscall(SYS_sysinfo, 0) ? errno_name(errno) : "worked");
  printf("trapped: %ld\n", syscall(SYS_ustat, 0, 0));
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    syscall(SYS_acct, 0);
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  print_status("kill", status);
  in_child("list of few", list_of_few);
  in_child("strict, filtered before", strict);
  in_child("trap, blocked", trap_blocked);
  in_child("all threads", all_threads);
  refusals();
  fflush(stdout);
  execl(argv[0], argv[0], "again", NULL);
  return 1;
}
