// Threads blocked in read, sem_wait, nanosleep, sigwait and condition wait are cancelled after a
// restart; cleanup handlers and C++ destructors run once; a thread that disabled cancellation stays
// immune.
//
// flavours: all
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "check.h"

namespace {

std::atomic<int> destroyed{0}, cleaned{0}, blocked_tids[5];
std::atomic<bool> immune_released{false};
int pipe_ends[2];
sem_t semaphore;

struct Witness {
  ~Witness() { ++destroyed; }
};

void cleanup(void*) {
  ++cleaned;
}

void* blocked(void* argument) {
  Witness witness;
  pthread_cleanup_push(cleanup, nullptr);
  const auto kind = reinterpret_cast<intptr_t>(argument);
  blocked_tids[kind] = gettid();
  char byte;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  int number;
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t never = PTHREAD_COND_INITIALIZER;
  switch (kind) {
    case 0:
      (void)!read(pipe_ends[0], &byte, 1);
      break;
    case 1:
      sem_wait(&semaphore);
      break;
    case 2:
      sleep(1000);
      break;
    case 3:
      sigwait(&set, &number);
      break;
    case 4:
      pthread_mutex_lock(&lock);
      pthread_cond_wait(&never, &lock);
      break;
  }
  check_fail(__FILE__, __LINE__, "kind %d went on by itself", static_cast<int>(kind));
  pthread_cleanup_pop(0);
  return nullptr;
}

void* immune(void*) {
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
  while (!immune_released) check_sleep_ms(1);
  pthread_testcancel();
  return reinterpret_cast<void*>(7);
}

}  // namespace

int main() {
  CHECK_SYS(pipe(pipe_ends));
  CHECK_SYS(sem_init(&semaphore, 0, 0));
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, nullptr));
  pthread_t threads[5], other;
  for (intptr_t i = 0; i < 5; ++i)
    CHECK_OK(pthread_create(&threads[i], nullptr, blocked, reinterpret_cast<void*>(i)));
  CHECK_OK(pthread_create(&other, nullptr, immune, nullptr));
  for (auto& tid : blocked_tids) {
    while (tid == 0) check_sleep_ms(1);
    check_until_asleep(tid);
  }
  check_ready();
  check_wait();
  CHECK_OK(pthread_cancel(other));
  void* value;
  for (pthread_t thread : threads) {
    CHECK_OK(pthread_cancel(thread));
    CHECK_OK(pthread_join(thread, &value));
    CHECK(value == PTHREAD_CANCELED);
  }
  CHECK_EQ(destroyed, 5);
  CHECK_EQ(cleaned, 5);
  immune_released = true;
  CHECK_OK(pthread_join(other, &value));
  CHECK_EQ(reinterpret_cast<intptr_t>(value), 7);
  check_pass();
}
