// Robust mutexes that are shared with a child and locked before the checkpoint: the child finds
// EOWNERDEAD when the thread ends, and when the process execs; a failed exec leaves the lock where it
// was.
//
// flavours: all
// not: busy because a checkpoint of a tree of processes is refused for now
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { kThread, kExec, kFailed, kMutexes };

struct Shared {
  pthread_mutex_t mutex[kMutexes];
  atomic_int waiting;
};

static struct Shared* shared;
static sem_t locked, go;

static void* owner(void* unused) {
  (void)unused;
  CHECK_OK(pthread_mutex_lock(&shared->mutex[kThread]));
  sem_post(&locked);
  while (sem_wait(&go) != 0) CHECK_EQ(errno, EINTR);
  return NULL;
}

static void find_dead(int which) {
  CHECK_EQ(pthread_mutex_lock(&shared->mutex[which]), EOWNERDEAD);
  CHECK_OK(pthread_mutex_consistent(&shared->mutex[which]));
  CHECK_OK(pthread_mutex_unlock(&shared->mutex[which]));
}

// The process that execs is the one that was checkpointed; its child judges, and says so by a file.
static void judge(int which, const char* file) {
  find_dead(which);
  FILE* out = fopen(file, "we");
  CHECK(out != NULL);
  fclose(out);
  _exit(0);
}

int main(int argc, char** argv) {
  if (argc == 3) {  // after the exec
    int status;
    CHECK(wait(&status) > 0);
    CHECK_EQ(status, 0);
    CHECK_SYS(access(argv[2], F_OK));
    check_pass();
  }
  pthread_mutexattr_t robust;
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(shared != MAP_FAILED);
  CHECK_OK(pthread_mutexattr_init(&robust));
  CHECK_OK(pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST));
  CHECK_OK(pthread_mutexattr_setpshared(&robust, PTHREAD_PROCESS_SHARED));
  for (int i = 0; i < kMutexes; ++i) CHECK_OK(pthread_mutex_init(&shared->mutex[i], &robust));
  CHECK_SYS(sem_init(&locked, 0, 0));
  CHECK_SYS(sem_init(&go, 0, 0));
  pthread_t thread;
  CHECK_OK(pthread_create(&thread, NULL, owner, NULL));
  while (sem_wait(&locked) != 0) CHECK_EQ(errno, EINTR);
  CHECK_OK(pthread_mutex_lock(&shared->mutex[kExec]));
  CHECK_OK(pthread_mutex_lock(&shared->mutex[kFailed]));
  check_ready();
  check_wait();

  pid_t child = (pid_t)CHECK_SYS(fork());
  if (child == 0) {
    ++shared->waiting;
    find_dead(kThread);
    _exit(0);
  }
  while (shared->waiting == 0) check_sleep_ms(1);
  CHECK_SYS(sem_post(&go));
  CHECK_OK(pthread_join(thread, NULL));
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);

  // Every string is fine, all of them together are too long.
  enum { kMany = 1 << 16 };
  char** arguments = calloc(kMany + 1, sizeof *arguments);
  char* word = calloc(1, 4096);
  CHECK(arguments != NULL && word != NULL);
  memset(word, 'x', 4095);
  for (int i = 0; i < kMany; ++i) arguments[i] = word;
  CHECK_ERRNO(execv(argv[0], arguments), E2BIG);
  child = (pid_t)CHECK_SYS(fork());
  if (child == 0) _exit(pthread_mutex_trylock(&shared->mutex[kFailed]) == EBUSY ? 0 : 1);
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  CHECK_OK(pthread_mutex_unlock(&shared->mutex[kFailed]));

  const char* file = check_path("judged");
  if ((child = (pid_t)CHECK_SYS(fork())) == 0) judge(kExec, file);
  CHECK_SYS(execl(argv[0], argv[0], "after", file, (char*)NULL));
}
