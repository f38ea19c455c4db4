// exit() afterwards runs what was registered before, in reverse order, and flushes stdio; a thread
// that is blocked does not hold it up.
//
// flavours: all
#include <pthread.h>
#include <unistd.h>

#include "check.h"

static int order;

static void last(void) {
  if (order != 2) _exit(51);
}
static void second(void) {
  if (order++ != 1) _exit(52);
}
static void first(void) {
  if (order++ != 0) _exit(53);
}

static void* blocked(void* unused) {
  (void)unused;
  for (;;) pause();
  return NULL;
}

int main(void) {
  pthread_t thread;
  CHECK_EQ(atexit(last), 0);
  CHECK_EQ(atexit(second), 0);
  CHECK_EQ(atexit(first), 0);
  CHECK_OK(pthread_create(&thread, NULL, blocked, NULL));
  check_ready();
  check_wait();
  check_pass();
}
