// What /proc shows of signals is the program's own: blocked, ignored, caught and pending ones, also
// those that the host uses, in status and stat, of the process and of another thread.
//
// flavours: all
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static atomic_int tid;
static pthread_barrier_t done;

static void on_signal(int number) {
  (void)number;
}

static uint64_t bit(int number) {
  return UINT64_C(1) << (number - 1);
}

static uint64_t mask_of(const char* path, const char* key) {
  const uint64_t libc = bit(32) | bit(33);  // the C library's own
  return strtoull(check_proc_field(path, key), NULL, 16) & ~libc;
}

// Field of /proc/.../stat, counted from 1 as in proc_pid_stat(5).
static uint64_t stat_field(const char* path, int field) {
  char line[2048];
  snprintf(line, sizeof line, "%s", check_read_line(path));
  char* at = strrchr(line, ')');
  CHECK(at != NULL);
  at = strtok(at + 1, " ");
  for (int i = 3; i < field; ++i) at = strtok(NULL, " ");
  CHECK(at != NULL);
  return strtoull(at, NULL, 10);
}

static void* run(void* unused) {
  (void)unused;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  sigaddset(&set, SIGSYS);
  sigaddset(&set, 62);
  CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
  tid = (int)syscall(SYS_gettid);
  pthread_barrier_wait(&done);
  return NULL;
}

static void verify(void) {
  char status[64], stat[64];
  const uint64_t shown = 0x7fffffff;
  const uint64_t caught = bit(SIGUSR1) | bit(SIGRTMIN + 1), ignored = bit(SIGHUP) | bit(SIGSEGV),
                 blocked = bit(SIGTERM) | bit(SIGUSR1), of_thread = blocked | bit(SIGUSR2) | bit(SIGSYS) | bit(62);
  CHECK_EQ(mask_of("/proc/self/status", "SigBlk:"), blocked);
  CHECK_EQ(mask_of("/proc/self/status", "SigIgn:"), ignored);
  CHECK_EQ(mask_of("/proc/self/status", "SigCgt:"), caught);
  CHECK_EQ(mask_of("/proc/self/status", "ShdPnd:"), bit(SIGTERM));
  CHECK_EQ(mask_of("/proc/thread-self/status", "SigPnd:"), bit(SIGUSR1));
  CHECK_EQ(stat_field("/proc/self/stat", 31), bit(SIGUSR1));
  CHECK_EQ(stat_field("/proc/self/stat", 32), blocked & shown);
  CHECK_EQ(stat_field("/proc/self/stat", 33), ignored & shown);
  CHECK_EQ(stat_field("/proc/self/stat", 34), caught & shown);
  snprintf(status, sizeof status, "/proc/self/task/%d/status", tid);
  snprintf(stat, sizeof stat, "/proc/%d/task/%d/stat", getpid(), tid);
  CHECK_EQ(mask_of(status, "SigBlk:"), of_thread);
  CHECK_EQ(mask_of(status, "SigCgt:"), caught);
  CHECK_EQ(stat_field(stat, 32), of_thread & shown);
  CHECK_EQ(stat_field(stat, 1 + 2), 0);  // the state is a letter
}

int main(void) {
  pthread_t thread;
  sigset_t set, empty;
  sigemptyset(&empty);
  CHECK_SYS(sigprocmask(SIG_SETMASK, &empty, NULL));
  for (int number = 1; number <= SIGRTMAX; ++number)
    if (number != SIGKILL && number != SIGSTOP && (number < 32 || number >= SIGRTMIN))
      CHECK(signal(number, SIG_DFL) != SIG_ERR);
  CHECK(signal(SIGHUP, SIG_IGN) != SIG_ERR);
  CHECK(signal(SIGSEGV, SIG_IGN) != SIG_ERR);
  CHECK(signal(SIGUSR1, on_signal) != SIG_ERR);
  CHECK(signal(SIGRTMIN + 1, on_signal) != SIG_ERR);
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGUSR1);
  CHECK_SYS(sigprocmask(SIG_BLOCK, &set, NULL));
  CHECK_OK(pthread_barrier_init(&done, NULL, 2));
  CHECK_OK(pthread_create(&thread, NULL, run, NULL));
  while (tid == 0) check_sleep_ms(1);
  check_until_asleep(tid);
  CHECK_SYS(kill(getpid(), SIGTERM));
  CHECK_SYS(syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1));
  if (!check_is_busy()) verify();
  check_ready();
  check_wait();
  verify();
  pthread_barrier_wait(&done);
  CHECK_OK(pthread_join(thread, NULL));
  check_pass();
}
