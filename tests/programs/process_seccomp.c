// Filters of the program's own (seccomp): still there after a restart, in each thread its own, and
// in children.
//
// flavours: all
// not: busy because it would add its filters again with each exec
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static sem_t g_go;
static volatile int g_set;

// `call` fails with `error`.
static void refuse(long call, int error) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {sizeof code / sizeof code[0], code};
  CHECK_SYS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0));
}

static void* body(void* unused) {
  refuse(SYS_getuid, EXDEV);
  g_set = 1;
  while (sem_wait(&g_go) != 0) {
  }
  CHECK_ERRNO(syscall(SYS_getppid), EUCLEAN);
  CHECK_ERRNO(syscall(SYS_getuid), EXDEV);
  return unused;
}

int main(void) {
  CHECK_SYS(sem_init(&g_go, 0, 0));
  CHECK_SYS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  refuse(SYS_getppid, EUCLEAN);
  pthread_t thread;
  CHECK_OK(pthread_create(&thread, NULL, body, NULL));
  while (!g_set) check_sleep_ms(1);
  check_ready();
  check_wait();
  CHECK_EQ(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), 2);
  CHECK_ERRNO(syscall(SYS_getppid), EUCLEAN);
  CHECK_SYS(syscall(SYS_getuid));
  const pid_t child = (pid_t)CHECK_SYS(fork());
  if (child == 0) _exit(syscall(SYS_getppid) == -1 && errno == EUCLEAN ? 0 : 1);
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  CHECK_SYS(sem_post(&g_go));
  CHECK_OK(pthread_join(thread, NULL));
  check_pass();
}
