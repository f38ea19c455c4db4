// Names of threads: 15 characters, empty, and the main thread's, through prctl and /proc.
//
// flavours: all
#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "check.h"

static pthread_barrier_t ready, released;
static const char* const kNames[] = {"fifteen_letters", "", "a b)(c", "x"};

static void check_name(const char* want) {
  char name[16] = "?", path[64];
  CHECK_SYS(prctl(PR_GET_NAME, name));
  CHECK_STR(name, want);
  snprintf(path, sizeof path, "/proc/self/task/%d/comm", gettid());
  CHECK_STR(check_read_line(path), want);
  CHECK_STR(check_read_line("/proc/thread-self/comm"), want);
}

static void* run(void* argument) {
  const char* name = argument;
  CHECK_SYS(prctl(PR_SET_NAME, name));
  pthread_barrier_wait(&ready);
  pthread_barrier_wait(&released);
  check_name(name);
  return NULL;
}

int main(void) {
  pthread_t threads[4];
  CHECK_OK(pthread_barrier_init(&ready, NULL, 5));
  CHECK_OK(pthread_barrier_init(&released, NULL, 5));
  for (int i = 0; i < 4; ++i) CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)kNames[i]));
  CHECK_SYS(prctl(PR_SET_NAME, "the main one is cut off"));
  pthread_barrier_wait(&ready);
  check_ready();
  check_wait();
  pthread_barrier_wait(&released);
  for (int i = 0; i < 4; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  check_name("the main one is");
  CHECK_STR(check_read_line("/proc/self/comm"), "the main one is");
  check_pass();
}
