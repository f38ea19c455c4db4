// Robust, PI, error-checking and timed mutexes, between threads and between processes.
#include "common.h"
#include <sys/mman.h>

struct Shared {
  pthread_mutex_t mutex;
  pthread_cond_t condition;
  long counter;
  int stage;
};

static void make(pthread_mutex_t* mutex, int type, int robust, int protocol, int shared) {
  pthread_mutexattr_t a;
  pthread_mutexattr_init(&a);
  pthread_mutexattr_settype(&a, type);
  pthread_mutexattr_setrobust(&a, robust);
  pthread_mutexattr_setprotocol(&a, protocol);
  pthread_mutexattr_setpshared(&a, shared);
  int error = pthread_mutex_init(mutex, &a);
  if (error) printf("init: %s\n", errno_name(error));
}

static void* lock_and_exit(void* mutex) {
  printf("lock in thread: %s\n", errno_name(pthread_mutex_lock(mutex)));
  return NULL;
}

static void robust(const char* name, int protocol) {
  struct Shared* s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  printf("-- robust %s\n", name);
  make(&s->mutex, PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST, protocol, PTHREAD_PROCESS_SHARED);
  pthread_t thread;
  pthread_create(&thread, NULL, lock_and_exit, &s->mutex);
  pthread_join(thread, NULL);
  printf("owner thread gone: %s\n", errno_name(pthread_mutex_lock(&s->mutex)));
  printf("consistent: %s\n", errno_name(pthread_mutex_consistent(&s->mutex)));
  printf("unlock: %s\n", errno_name(pthread_mutex_unlock(&s->mutex)));
  for (int kill_it = 0; kill_it < 2; kill_it++) {
    fflush(stdout);
    s->stage = 0;
    pid_t child = fork();
    if (!child) {
      pthread_mutex_lock(&s->mutex);
      __atomic_store_n(&s->stage, 1, __ATOMIC_SEQ_CST);
      if (kill_it) for (;;) pause();
      _exit(0);
    }
    while (!__atomic_load_n(&s->stage, __ATOMIC_SEQ_CST)) sched_yield();
    if (kill_it) kill(child, SIGKILL);
    printf("owner process %s: %s\n", kill_it ? "killed" : "gone", errno_name(pthread_mutex_lock(&s->mutex)));
    waitpid(child, NULL, 0);
    if (!kill_it) pthread_mutex_consistent(&s->mutex);
    pthread_mutex_unlock(&s->mutex);
  }
  printf("not made consistent: %s\n", errno_name(pthread_mutex_lock(&s->mutex)));
}

static void* count(void* argument) {
  struct Shared* s = argument;
  for (int n = 0; n < 20000; n++) {
    pthread_mutex_lock(&s->mutex);
    s->counter++;
    pthread_mutex_unlock(&s->mutex);
  }
  return NULL;
}

static void contend(const char* name, int protocol) {
  struct Shared* s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  make(&s->mutex, PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_STALLED, protocol, PTHREAD_PROCESS_SHARED);
  fflush(stdout);
  pid_t child = fork();
  pthread_t threads[4];
  for (int n = 0; n < 4; n++) pthread_create(&threads[n], NULL, count, s);
  for (int n = 0; n < 4; n++) pthread_join(threads[n], NULL);
  if (!child) _exit(0);
  waitpid(child, NULL, 0);
  printf("contended %s: %ld\n", name, s->counter);
}

static void* toggle(void* argument) {
  struct Shared* s = argument;
  pthread_mutex_lock(&s->mutex);
  for (int n = 0; n < 2000; n++) {
    while (s->stage % 2 == 0) pthread_cond_wait(&s->condition, &s->mutex);
    s->stage++;
    pthread_cond_signal(&s->condition);
  }
  pthread_mutex_unlock(&s->mutex);
  return NULL;
}

static void pi_condition(void) {  // a condition on a PI mutex uses futex requeueing in old glibc
  struct Shared s = {.condition = PTHREAD_COND_INITIALIZER};
  make(&s.mutex, PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_INHERIT, PTHREAD_PROCESS_PRIVATE);
  pthread_t thread;
  pthread_create(&thread, NULL, toggle, &s);
  pthread_mutex_lock(&s.mutex);
  for (int n = 0; n < 2000; n++) {
    while (s.stage % 2 == 1) pthread_cond_wait(&s.condition, &s.mutex);
    s.stage++;
    pthread_cond_signal(&s.condition);
  }
  pthread_mutex_unlock(&s.mutex);
  pthread_join(thread, NULL);
  printf("condition on PI mutex: %d turns\n", s.stage);
}

static void* errors_from_elsewhere(void* mutex) {
  struct timespec until;
  printf("trylock: %s\n", errno_name(pthread_mutex_trylock(mutex)));
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += 20000000;
  if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
  printf("timedlock: %s\n", errno_name(pthread_mutex_timedlock(mutex, &until)));
  clock_gettime(CLOCK_MONOTONIC, &until);
  printf("clocklock: %s\n", errno_name(pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until)));
  printf("unlock: %s\n", errno_name(pthread_mutex_unlock(mutex)));
  return NULL;
}

static void errors(const char* name, int protocol) {
  pthread_mutex_t mutex;
  printf("-- errors %s\n", name);
  make(&mutex, PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_STALLED, protocol, PTHREAD_PROCESS_PRIVATE);
  printf("unlock of a free one: %s\n", errno_name(pthread_mutex_unlock(&mutex)));
  pthread_mutex_lock(&mutex);
  printf("again: %s\n", errno_name(pthread_mutex_lock(&mutex)));
  pthread_t thread;
  pthread_create(&thread, NULL, errors_from_elsewhere, &mutex);
  pthread_join(thread, NULL);
  printf("unlock: %s\n", errno_name(pthread_mutex_unlock(&mutex)));
}

int main(void) {
  robust("plain", PTHREAD_PRIO_NONE);
  robust("PI", PTHREAD_PRIO_INHERIT);
  contend("plain", PTHREAD_PRIO_NONE);
  contend("PI", PTHREAD_PRIO_INHERIT);
  pi_condition();
  errors("plain", PTHREAD_PRIO_NONE);
  errors("PI", PTHREAD_PRIO_INHERIT);
  return 0;
}
