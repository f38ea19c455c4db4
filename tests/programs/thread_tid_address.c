// set_tid_address and CLONE_CHILD_CLEARTID: the word of a thread that ends afterwards is cleared
// and its waiter woken (this is what pthread_join waits for), and the robust list stays registered.
//
// flavours: all
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static atomic_int word = 1;
static sem_t go, set;
static void* list_before;

static void* run(void* unused) {
  (void)unused;
  size_t bytes = 0;
  void* list = NULL;
  CHECK_SYS(syscall(SYS_get_robust_list, 0, &list_before, &bytes));
  sem_post(&set);
  while (sem_wait(&go) != 0) CHECK_EQ(errno, EINTR);
  CHECK_SYS(syscall(SYS_get_robust_list, 0, &list, &bytes));
  CHECK(list == list_before);
  CHECK_EQ(bytes, 24);
  CHECK_EQ(syscall(SYS_set_tid_address, &word), gettid());
  syscall(SYS_exit, 0);  // pthread_join would never see it: the word is ours now
  return NULL;
}

static void* wait_once(void* unused) {
  (void)unused;
  while (sem_wait(&go) != 0) CHECK_EQ(errno, EINTR);
  return NULL;
}

int main(void) {
  pthread_t joined, raw;
  CHECK_SYS(sem_init(&go, 0, 0));
  CHECK_SYS(sem_init(&set, 0, 0));
  CHECK_OK(pthread_create(&raw, NULL, run, NULL));
  while (sem_wait(&set) != 0) CHECK_EQ(errno, EINTR);
  CHECK_OK(pthread_create(&joined, NULL, wait_once, NULL));
  check_ready();
  check_wait();
  CHECK_SYS(sem_post(&go));
  CHECK_SYS(sem_post(&go));
  CHECK_OK(pthread_join(joined, NULL));
  while (word != 0) {
    long result = syscall(SYS_futex, &word, FUTEX_WAIT, 1, NULL, NULL, 0);
    CHECK(result == 0 || errno == EAGAIN);
  }
  check_pass();
}
