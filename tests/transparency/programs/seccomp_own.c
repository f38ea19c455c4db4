// A program with a seccomp filter of its own: its error, its trap and its kill.
#include "common.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <ucontext.h>

static void on_trap(int n, siginfo_t* info, void* context) {
  printf("trap: SIG%s code %d call %d arch %x\n", sigabbrev_np(n), info->si_code, info->si_syscall, info->si_arch);
  ((ucontext_t*)context)->uc_mcontext.gregs[REG_RAX] = 1234;
}

int main(void) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sysinfo, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ustat, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_acct, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
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
  return 0;
}
