// Threads, stdio, DNS-free libc and exit handlers: built static, static-pie, stripped and sectionless.
#include "common.h"
#include <locale.h>
#include <math.h>
#include <sys/utsname.h>

static pthread_barrier_t barrier;
static double sums[8];
static __thread int own = 5;
static void* work(void* index) {
  long n = (long)index;
  own += (int)n;
  for (int k = 1; k < 200000; k++) sums[n] += sin(k * 0.001) / (k + (double)n);
  pthread_barrier_wait(&barrier);
  return (void*)(long)own;
}
static void last(void) { puts("exit handler"); }

int main(int argc, char** argv) {
  atexit(last);
  setlocale(LC_ALL, "");
  pthread_barrier_init(&barrier, NULL, 8);
  pthread_t threads[8];
  for (long n = 0; n < 8; n++) pthread_create(&threads[n], NULL, work, (void*)n);
  for (int n = 0; n < 8; n++) {
    void* result;
    pthread_join(threads[n], &result);
    printf("%d %.12f %ld\n", n, sums[n], (long)result);
  }
  struct utsname name;
  uname(&name);
  printf("%s, %d arguments\n", name.sysname, argc);
  fflush(stdout);
  if (argc == 2) return 4;
  pid_t child = fork();
  if (!child) execl(argv[0], argv[0], "again", NULL);
  int status;
  waitpid(child, &status, 0);
  print_status("again", status);
  return 3;
}
