// Memory that was mapped shared before a fork stays one memory: a process-shared mutex, condition
// and semaphore in it, a view with another protection, and a child that sleeps in each of them.
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>

#include "child.h"

#define BYTES (3 * 4096 + 100)

typedef struct {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  sem_t semaphore;
  int counter;
  char bytes[BYTES];
} shared_state;

static shared_state* g_state;

static pid_t start(void (*body)(void)) {
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) {
    body();
    _exit(0);
  }
  check_until_child_asleep(pid);
  return pid;
}

static void wait_for_change(void) {
  CHECK_SYS(mprotect(g_state->bytes + 4096 - (uintptr_t)g_state->bytes % 4096, 4096, PROT_READ));
  CHECK_OK(pthread_mutex_lock(&g_state->mutex));
  while (g_state->counter < 10) CHECK_OK(pthread_cond_wait(&g_state->changed, &g_state->mutex));
  ++g_state->counter;
  CHECK_OK(pthread_mutex_unlock(&g_state->mutex));
  CHECK_BYTES(g_state->bytes, BYTES, 2);
}

static void wait_for_semaphore(void) {
  CHECK_SYS(sem_wait(&g_state->semaphore));
  CHECK_OK(pthread_mutex_lock(&g_state->mutex));
  ++g_state->counter;
  CHECK_OK(pthread_mutex_unlock(&g_state->mutex));
}

static void end(pid_t pid) {
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
}

int main(void) {
  g_state = mmap(NULL, sizeof *g_state, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(g_state != MAP_FAILED);
  pthread_mutexattr_t mutex;
  pthread_condattr_t condition;
  CHECK_OK(pthread_mutexattr_init(&mutex));
  CHECK_OK(pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED));
  CHECK_OK(pthread_mutex_init(&g_state->mutex, &mutex));
  CHECK_OK(pthread_condattr_init(&condition));
  CHECK_OK(pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED));
  CHECK_OK(pthread_cond_init(&g_state->changed, &condition));
  CHECK_SYS(sem_init(&g_state->semaphore, 1, 0));
  check_fill(g_state->bytes, BYTES, 1);
  const pid_t waiter = start(wait_for_change);
  const pid_t other = start(wait_for_semaphore);
  check_ready();
  check_wait();
  CHECK_BYTES(g_state->bytes, BYTES, 1);
  check_fill(g_state->bytes, BYTES, 2);
  CHECK_OK(pthread_mutex_lock(&g_state->mutex));
  g_state->counter = 10;
  CHECK_OK(pthread_cond_broadcast(&g_state->changed));
  CHECK_OK(pthread_mutex_unlock(&g_state->mutex));
  end(waiter);
  CHECK_SYS(sem_post(&g_state->semaphore));
  end(other);
  CHECK_EQ(g_state->counter, 12);
  check_pass();
}
