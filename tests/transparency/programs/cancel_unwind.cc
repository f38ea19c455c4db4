// Cancellation and pthread_exit run C++ destructors of every frame, also out of a blocking call.
#include "common.h"
#include <string>

static thread_local std::string* trail;
struct Mark {
  const char* name;
  ~Mark() { *trail += name; }
};
static int pipe_empty[2];
static std::string text;
static pid_t worker_tid;

static void deepest(bool leave) {
  Mark mark{"deepest "};
  if (leave) pthread_exit(nullptr);
  char c;
  if (read(pipe_empty[0], &c, 1) < 0) *trail += "read failed ";
}
static void middle(bool leave) {
  Mark mark{"middle "};
  try {
    deepest(leave);
  } catch (...) {
    *trail += "caught ";
    throw;  // glibc's forced unwinding must be passed on
  }
}
static void* worker(void* leave) {
  trail = &text;
  __atomic_store_n(&worker_tid, gettid(), __ATOMIC_RELEASE);
  Mark mark{"outermost "};
  middle(leave != nullptr);
  return nullptr;
}

int main() {
  MUST(pipe(pipe_empty));
  for (int round = 0; round < 40; round++) {
    text.clear();
    worker_tid = 0;
    bool leave = round % 2;
    pthread_t thread;
    pthread_create(&thread, nullptr, worker, leave ? &text : nullptr);
    while (!__atomic_load_n(&worker_tid, __ATOMIC_ACQUIRE)) sched_yield();
    if (!leave) {
      if (round % 4 == 0) wait_until_asleep(getpid(), worker_tid);
      pthread_cancel(thread);
    }
    pthread_join(thread, nullptr);
    printf("%s: %s\n", leave ? "exit" : "cancel", text.c_str());
  }
}
