// The main thread has ended by pthread_exit; the others run on, and the last one's exit code
// counts.
//
// flavours: all
#include <pthread.h>
#include <unistd.h>

#include "check.h"

static pthread_t main_thread;

static void* process_id(void* unused) {
  (void)unused;
  return (void*)(intptr_t)getpid();
}

static void* run(void* unused) {
  (void)unused;
  CHECK_OK(pthread_join(main_thread, NULL));
  char state[2] = "";
  for (;;) {  // a zombie leader
    snprintf(state, sizeof state, "%s", check_proc_field("/proc/self/status", "State:"));
    if (state[0] == 'Z') break;
    check_sleep_ms(1);
  }
  check_ready();
  check_wait();
  CHECK(gettid() != getpid());
  CHECK_EQ(check_proc_field("/proc/self/status", "State:")[0], 'Z');
  pthread_t another;
  CHECK_OK(pthread_create(&another, NULL, process_id, NULL));
  void* value;
  CHECK_OK(pthread_join(another, &value));
  CHECK_EQ((int)(intptr_t)value, getpid());
  check_pass();
}

int main(void) {
  pthread_t thread;
  main_thread = pthread_self();
  CHECK_OK(pthread_create(&thread, NULL, run, NULL));
  pthread_exit(NULL);
}
