// ThreadSanitizer: a clean run and a race that it reports.
#include "common.h"

static int counter, racy;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void* work(void* argument) {
  for (int n = 0; n < 2000; n++) {
    pthread_mutex_lock(&lock);
    counter++;
    pthread_mutex_unlock(&lock);
  }
  if (argument) racy++;
  return NULL;
}

int main(int argc, char** argv) {
  (void)argv;
  pthread_t threads[8];
  for (int n = 0; n < 8; n++) pthread_create(&threads[n], NULL, work, argc > 1 ? &racy : NULL);
  for (int n = 0; n < 8; n++) pthread_join(threads[n], NULL);
  printf("%d\n", counter);
  return 0;
}
