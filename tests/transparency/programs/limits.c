// Limits that real sites set: what malloc, stacks and locking may do under them.
#include "common.h"
#include <sys/mman.h>
#include <sys/resource.h>

static void set(int what, rlim_t value) {
  struct rlimit limit;
  getrlimit(what, &limit);
  limit.rlim_cur = value;
  printf("setrlimit %d: %s\n", what, setrlimit(what, &limit) ? errno_name(errno) : "done");
  getrlimit(what, &limit);
  printf("reads back %s\n", limit.rlim_cur == value ? "same" : "different");
}
static void* small_stack(void* unused) { char area[65536]; memset(area, 1, sizeof area); return unused; }

int main(void) {
  printf("8 GiB mapping: %s\n", mmap(NULL, 8UL << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno_name(errno) : "fits");
  char* block = malloc(512 << 20);
  printf("512 MiB: %s\n", block ? "fits" : "does not fit");
  pthread_t thread;
  for (int n = 0; n < 20; n++) {
    int error = pthread_create(&thread, NULL, small_stack, NULL);
    if (error) printf("thread: %s\n", errno_name(error));
    else pthread_join(thread, NULL);
  }
  free(block);
  set(RLIMIT_MEMLOCK, 0);
  printf("mlock with limit 0: %s\n", mlock(&thread, 8) ? errno_name(errno) : "done");
  set(RLIMIT_NPROC, 1000000);
  set(RLIMIT_FSIZE, 4096);
  signal(SIGXFSZ, SIG_IGN);
  int fd = open("big", O_RDWR | O_CREAT, 0600);
  char page[8192] = "";
  printf("write over the limit: %zd\n", write(fd, page, 8192));
  printf("and again: %s\n", write(fd, page, 1) < 0 ? errno_name(errno) : "worked");
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    set(RLIMIT_CPU, 1);
    for (volatile unsigned long n = 0;; n++) {}
  }
  int status;
  waitpid(child, &status, 0);
  print_status("processor time over the limit", status);
  return 0;
}
