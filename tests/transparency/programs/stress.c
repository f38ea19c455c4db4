// Many threads, short and long, each with files, memory, signals and children at once; the sum is fixed.
#include "common.h"
#include <sys/mman.h>

static long total;
static void* worker(void* seed) {
  unsigned state = (unsigned)(long)seed;
  long sum = 0;
  for (int n = 0; n < 200; n++) {
    size_t size = 4096 + rand_r(&state) % 200000;
    unsigned char* area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(area, n, size);
    sum += area[size - 1];
    munmap(area, size);
    char* small = malloc(size % 3000 + 1);
    small[0] = 1;
    free(small);
    int fd = open("/dev/zero", O_RDONLY);
    char byte = 1;
    sum += read(fd, &byte, 1) + byte;
    close(fd);
    if (n % 50 == 0) {
      pid_t child = fork();
      if (!child) _exit(n % 7);
      int status;
      if (waitpid(child, &status, 0) == child) sum += WEXITSTATUS(status);
    }
  }
  __atomic_add_fetch(&total, sum, __ATOMIC_RELAXED);
  return NULL;
}

static void* nothing(void* argument) { return argument; }

int main(void) {
  for (int wave = 0; wave < 4; wave++) {
    pthread_t threads[20];
    for (long n = 0; n < 20; n++) pthread_create(&threads[n], NULL, worker, (void*)(n + 1));
    for (int n = 0; n < 20; n++) pthread_join(threads[n], NULL);
  }
  pthread_t thread;
  for (int n = 0; n < 2000; n++) {
    pthread_create(&thread, NULL, nothing, NULL);
    pthread_join(thread, NULL);
  }
  printf("%ld\n", total);
  return 0;
}
