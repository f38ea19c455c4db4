// Mutexes of the four kinds that are held over the checkpoint know their owner and their depth.
//
// flavours: all
#include <pthread.h>

#include "check.h"

static pthread_mutex_t normal, recursive, checking, adaptive;

static void init(pthread_mutex_t* mutex, int kind) {
  pthread_mutexattr_t attributes;
  CHECK_OK(pthread_mutexattr_init(&attributes));
  CHECK_OK(pthread_mutexattr_settype(&attributes, kind));
  CHECK_OK(pthread_mutex_init(mutex, &attributes));
}

static void* stranger(void* unused) {
  (void)unused;
  CHECK_EQ(pthread_mutex_trylock(&normal), EBUSY);
  CHECK_EQ(pthread_mutex_trylock(&recursive), EBUSY);
  CHECK_EQ(pthread_mutex_trylock(&adaptive), EBUSY);
  CHECK_EQ(pthread_mutex_unlock(&checking), EPERM);
  CHECK_EQ(pthread_mutex_unlock(&recursive), EPERM);
  return NULL;
}

int main(void) {
  init(&normal, PTHREAD_MUTEX_NORMAL);
  init(&recursive, PTHREAD_MUTEX_RECURSIVE);
  init(&checking, PTHREAD_MUTEX_ERRORCHECK);
  init(&adaptive, PTHREAD_MUTEX_ADAPTIVE_NP);
  CHECK_OK(pthread_mutex_lock(&normal));
  for (int i = 0; i < 1000; ++i) CHECK_OK(pthread_mutex_lock(&recursive));
  CHECK_OK(pthread_mutex_lock(&checking));
  CHECK_OK(pthread_mutex_lock(&adaptive));
  check_ready();
  check_wait();
  CHECK_EQ(pthread_mutex_lock(&checking), EDEADLK);
  CHECK_OK(pthread_mutex_lock(&recursive));
  pthread_t thread;
  CHECK_OK(pthread_create(&thread, NULL, stranger, NULL));
  CHECK_OK(pthread_join(thread, NULL));
  for (int i = 0; i < 1001; ++i) CHECK_OK(pthread_mutex_unlock(&recursive));
  CHECK_EQ(pthread_mutex_unlock(&recursive), EPERM);
  CHECK_OK(pthread_mutex_unlock(&checking));
  CHECK_OK(pthread_mutex_unlock(&normal));
  CHECK_OK(pthread_mutex_unlock(&adaptive));
  CHECK_OK(pthread_mutex_trylock(&normal));
  check_pass();
}
