// Thread ids seen before are the ids afterwards, wherever the kernel reports or takes them.
//
// flavours: all
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

enum { kThreads = 5 };
static pthread_barrier_t ready, released, ended;
static atomic_int tids[kThreads], signalled[kThreads];
static __thread int me;

static void on_signal(int number, siginfo_t* info, void* context) {
  (void)number, (void)context;
  CHECK_EQ(info->si_pid, getpid());
  CHECK_EQ(info->si_code, SI_TKILL);
  signalled[me] = 1;
}

static void* run(void* argument) {
  me = (int)(intptr_t)argument;
  tids[me] = gettid();
  pthread_barrier_wait(&ready);
  pthread_barrier_wait(&released);
  CHECK_EQ(gettid(), tids[me]);
  CHECK_EQ(syscall(SYS_gettid), tids[me]);
  pthread_barrier_wait(&ended);
  return NULL;
}

int main(void) {
  pthread_t threads[kThreads];
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
  CHECK_SYS(sigaction(SIGUSR1, &action, NULL));
  CHECK_OK(pthread_barrier_init(&ready, NULL, kThreads + 1));
  CHECK_OK(pthread_barrier_init(&released, NULL, kThreads + 1));
  CHECK_OK(pthread_barrier_init(&ended, NULL, kThreads + 1));
  for (intptr_t i = 0; i < kThreads; ++i)
    CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)i));
  pthread_barrier_wait(&ready);
  pid_t process = getpid();
  check_ready();
  check_wait();
  pthread_barrier_wait(&released);
  CHECK_EQ(getpid(), process);
  CHECK_EQ(gettid(), process);
  int found = 0;
  DIR* tasks = opendir("/proc/self/task");
  CHECK(tasks != NULL);
  for (struct dirent* entry; (entry = readdir(tasks)) != NULL;) {
    for (int i = 0; i < kThreads; ++i) found += atoi(entry->d_name) == tids[i];
    found += atoi(entry->d_name) == process;
  }
  closedir(tasks);
  CHECK_EQ(found, kThreads + 1);
  for (int i = 0; i < kThreads; ++i) {
    cpu_set_t set;
    struct sched_param parameter;
    CHECK_SYS(sched_getaffinity(tids[i], sizeof set, &set));
    CHECK_SYS(sched_getparam(tids[i], &parameter));
    CHECK_EQ(sched_getscheduler(tids[i]), SCHED_OTHER);
    CHECK_EQ(getpriority(PRIO_PROCESS, (id_t)tids[i]), getpriority(PRIO_PROCESS, 0));
    CHECK_SYS(syscall(SYS_tgkill, process, tids[i], SIGUSR1));
    while (!signalled[i]) check_sleep_ms(1);
  }
  CHECK_ERRNO(syscall(SYS_tgkill, process + 1, tids[0], 0), ESRCH);
  pthread_barrier_wait(&ended);
  for (int i = 0; i < kThreads; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  check_pass();
}
