// Does what the lines of its standard input say, through include/cairn/cairn.h alone.

#include <cairn/cairn.h>

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>

enum { kThreads = 4, kPage = 4096, kPages = 64 };

static unsigned char* memory;
static struct cairn_watch watch;
static volatile sig_atomic_t alarms;

static void say(const char* what, long result) {
  if (result == -1)
    printf("%s: %s\n", what, strerror(errno));
  else
    printf("%s: %ld\n", what, result);
  fflush(stdout);
}

static void* ask(void* result) {
  *(int*)result = cairn_checkpoint();
  return NULL;
}

static long ask_from_threads(void) {
  pthread_t threads[kThreads];
  int results[kThreads];
  for (int i = 0; i < kThreads; ++i) pthread_create(&threads[i], NULL, ask, &results[i]);
  for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
  // Those that had not asked yet when the image was made are no restarted ones.
  int restarted = 0;
  for (int i = 0; i < kThreads; ++i) {
    if (results[i] == -1) return -1;
    restarted += results[i] == CAIRN_RESTARTED;
  }
  return restarted;
}

static void on_alarm(int signal) {
  (void)signal;
  ++alarms;
}

static long ask_under_signals(void) {
  struct itimerval fast = {{0, 500}, {0, 500}};
  struct itimerval off = {{0, 0}, {0, 0}};
  signal(SIGALRM, on_alarm);
  setitimer(ITIMER_REAL, &fast, NULL);
  while (alarms == 0) {
  }
  long result = cairn_checkpoint();
  setitimer(ITIMER_REAL, &off, NULL);
  return result;
}

static void map_memory(void) {
  memory = mmap(memory, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(memory, 'x', kPages * kPage);
}

// How many pages hold something.
static long full_pages(void) {
  long full = 0;
  for (int page = 0; page < kPages; ++page)
    for (int i = 0; i < kPage; ++i)
      if (memory[page * kPage + i] != 0) {
        ++full;
        break;
      }
  return full;
}

int main(void) {
  char line[64];
  map_memory();
  say("up", 0);
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = 0;
    if (strcmp(line, "version") == 0) say(line, cairn_version());
    if (strcmp(line, "incarnation") == 0) say(line, cairn_incarnation());
    if (strcmp(line, "generation") == 0) say(line, cairn_generation());
    if (strcmp(line, "checkpoint") == 0) say(line, cairn_checkpoint());
    if (strcmp(line, "threads") == 0) say(line, ask_from_threads());
    if (strcmp(line, "signals") == 0) say(line, ask_under_signals());
    if (strcmp(line, "defer") == 0) say(line, cairn_defer());
    if (strcmp(line, "undefer") == 0) say(line, cairn_undefer());
    if (strcmp(line, "leave out") == 0) say(line, cairn_leave_out(memory + 8 * kPage, 48 * kPage));
    if (strcmp(line, "take in") == 0) say(line, cairn_take_in(memory + 16 * kPage, 8 * kPage));
    if (strcmp(line, "half a page") == 0) say(line, cairn_leave_out(memory + kPage / 2, kPage));
    if (strcmp(line, "remap") == 0) {
      munmap(memory, kPages * kPage);
      map_memory();
      say(line, 0);
    }
    if (strcmp(line, "full") == 0) say(line, full_pages());
    if (strcmp(line, "poll") == 0) say(line, cairn_poll(&watch));
    if (strcmp(line, "many") == 0) {
      for (int page = 0; page < 2 * 12; page += 2)
        if (cairn_leave_out(memory + page * kPage, kPage) != 0) say("too early", page);
      say(line, cairn_leave_out(memory + 40 * kPage, kPage));
    }
  }
  return 0;
}
