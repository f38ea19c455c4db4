// Eight threads that hand results over by condition variables, sleep and use per-thread storage; the
// main one writes a line a step to stdout and to a file. Linked statically. Usage: work_threads STEPS
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { kThreads = 8 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int round_number, finished, steps;
static uint64_t state[kThreads];
static _Thread_local uint64_t own;
static unsigned char* table[kThreads];

static void* work(void* index) {
  long n = (long)index;
  own = (uint64_t)n + 1;
  table[n] = malloc(1 << 20);
  memset(table[n], (int)n, 1 << 20);
  for (int step = 0; step < steps; step++) {
    pthread_mutex_lock(&lock);
    while (round_number <= step) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    for (int k = 0; k < 2000000; k++) {
      own = own * 6364136223846793005u + 1442695040888963407u;
      table[n][own >> 44] ^= (unsigned char)(own >> 30);
    }
    struct timespec brief = {0, 200000};
    nanosleep(&brief, NULL);
    pthread_mutex_lock(&lock);
    state[n] = own + table[n][step % (1 << 20)];
    finished++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}

int main(int argc, char** argv) {
  steps = argc > 1 ? atoi(argv[1]) : 10;
  FILE* file = fopen("progress", "w");
  pthread_t threads[kThreads];
  for (long n = 0; n < kThreads; n++) pthread_create(&threads[n], NULL, work, (void*)n);
  for (int step = 0; step < steps; step++) {
    pthread_mutex_lock(&lock);
    round_number = step + 1;
    finished = 0;
    pthread_cond_broadcast(&changed);
    while (finished < kThreads) pthread_cond_wait(&changed, &lock);
    uint64_t sum = 0;
    for (int n = 0; n < kThreads; n++) sum = sum * 31 + state[n];
    pthread_mutex_unlock(&lock);
    printf("%d %016lx\n", step, sum);
    fprintf(file, "%d %016lx\n", step, sum);
    fflush(stdout);
    fflush(file);
  }
  for (int n = 0; n < kThreads; n++) pthread_join(threads[n], NULL);
  fclose(file);
  return 3;
}
