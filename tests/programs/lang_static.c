// A static glibc program with threads, malloc, stdio and thread-local variables.
//
// flavours: all
#include <pthread.h>
#include <unistd.h>

#include "check.h"

static __thread int local = 5;
static pthread_barrier_t ready, released;

static void* run(void* argument) {
  char* block = malloc(100000);
  check_fill(block, 100000, (uintptr_t)argument);
  local += (int)(intptr_t)argument;
  pthread_barrier_wait(&ready);
  pthread_barrier_wait(&released);
  CHECK_EQ(local, 5 + (intptr_t)argument);
  CHECK_BYTES(block, 100000, (uintptr_t)argument);
  free(block);
  return NULL;
}

int main(void) {
  pthread_t threads[4];
  pid_t process = getpid();
  CHECK_OK(pthread_barrier_init(&ready, NULL, 5));
  CHECK_OK(pthread_barrier_init(&released, NULL, 5));
  for (intptr_t i = 0; i < 4; ++i) CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)i));
  pthread_barrier_wait(&ready);
  FILE* file = fopen(check_path("out"), "w");
  CHECK(file != NULL);
  fprintf(file, "buffered %d", 1);
  check_ready();
  while (check_busy()) CHECK_EQ(getpid(), process);
  check_wait();
  CHECK_EQ(getpid(), process);
  pthread_barrier_wait(&released);
  for (int i = 0; i < 4; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  fprintf(file, " and %d\n", 2);
  CHECK_EQ(fclose(file), 0);
  CHECK_STR(check_read_line(check_path("out")), "buffered 1 and 2");
  check_pass();
}
