// A threaded program that knows what it must have in memory and in a file. For each line that it
// reads every thread changes a page of its block, the file gets a line, and the sum over all is
// printed:
//
//   worker FILE      prints "up", then "COUNT SUM" for every line of standard input
//
// Static and small: hundreds of images of it are made, and one of each format is kept.

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kThreads = 3, kPages = 64, kPage = 4096 };

static unsigned char memory[kThreads][kPages][kPage];
static pthread_barrier_t begin;
static pthread_barrier_t end;
static unsigned step;

static void* work(void* argument) {
  const unsigned thread = *(const unsigned*)argument;
  unsigned mine = 0;  // on the stack and in a register: what only this thread knows
  for (;;) {
    pthread_barrier_wait(&begin);
    if (mine++ != step) abort();
    memset(memory[thread][step % kPages], (int)((step * kThreads + thread) % 251 + 1), kPage);
    pthread_barrier_wait(&end);
  }
  return NULL;
}

static unsigned long sum(void) {
  unsigned long total = 0;
  for (unsigned thread = 0; thread < kThreads; ++thread)
    for (unsigned page = 0; page < kPages; ++page)
      for (unsigned i = 0; i < kPage; ++i) total += memory[thread][page][i];
  return total;
}

static void say(int fd, const char* text) {
  if (write(fd, text, strlen(text)) != (ssize_t)strlen(text)) abort();
}

// 0 at the end of the input.
static int next_line(void) {
  char byte;
  while (read(STDIN_FILENO, &byte, 1) == 1)
    if (byte == '\n') return 1;
  return 0;
}

int main(int argc, char** argv) {
  unsigned numbers[kThreads];
  pthread_t threads[kThreads];
  const int file = argc > 1 ? open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
  pthread_barrier_init(&begin, NULL, kThreads + 1);
  pthread_barrier_init(&end, NULL, kThreads + 1);
  for (unsigned i = 0; i < kThreads; ++i) {
    numbers[i] = i;
    if (pthread_create(&threads[i], NULL, work, &numbers[i]) != 0) return 1;
  }
  say(STDOUT_FILENO, "up\n");
  for (; next_line(); ++step) {
    char text[64];
    pthread_barrier_wait(&begin);
    pthread_barrier_wait(&end);
    snprintf(text, sizeof text, "%u %lu\n", step, sum());
    if (file >= 0) say(file, text);
    say(STDOUT_FILENO, text);
  }
  return 7;
}
