// AddressSanitizer: a clean run, a bug that it reports, and a leak that its tracer thread finds.
#include "common.h"

static void* thread(void* unused) {
  char* block = malloc(1000);
  memset(block, 1, 1000);
  free(block);
  return unused;
}
__attribute__((noinline)) static void leak(void) {
  char* volatile lost = malloc(123);
  lost[0] = 1;
  lost = NULL;
}

int main(int argc, char** argv) {
  for (int n = 0; n < 50; n++) {
    pthread_t t;
    pthread_create(&t, NULL, thread, NULL);
    pthread_join(t, NULL);
  }
  puts("clean so far");
  fflush(stdout);
  if (argc > 1 && !strcmp(argv[1], "overflow")) {
    char* volatile block = malloc(10);
    block[argc + 8] = 1;
  }
  if (argc > 1 && !strcmp(argv[1], "leak")) leak();
  return 0;
}
