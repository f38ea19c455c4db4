// Open files of another thread in /proc: one descriptor, its duplicate, and a place in the middle.
//
// flavours: all
// unsteady: fd because the link of such a file names the kernel's number
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

static pthread_barrier_t named, end;
static pid_t tid;

static void* thread(void* unused) {
  (void)unused;
  tid = gettid();
  pthread_setname_np(pthread_self(), "elsewhere");
  pthread_barrier_wait(&named);
  pthread_barrier_wait(&end);
  return NULL;
}

int main(void) {
  pthread_t other;
  pthread_barrier_init(&named, NULL, 2);
  pthread_barrier_init(&end, NULL, 2);
  CHECK(pthread_create(&other, NULL, thread, NULL) == 0);
  pthread_barrier_wait(&named);
  char path[64], text[64] = {0};
  snprintf(path, sizeof path, "/proc/self/task/%d/comm", tid);
  int whole = open(path, O_RDWR | O_CLOEXEC);
  CHECK_SYS(whole);
  int part = open(path, O_RDONLY);
  CHECK_SYS(part);
  CHECK_SYS(read(part, text, 4));
  int copy = dup(part);
  CHECK_SYS(copy);
  snprintf(path, sizeof path, "/proc/self/task/%d", tid);
  int directory = open(path, O_RDONLY | O_DIRECTORY);
  CHECK_SYS(directory);
  check_ready();
  check_wait();
  memset(text, 0, sizeof text);
  CHECK_EQ(read(copy, text, sizeof text), 6);
  CHECK(strcmp(text, "where\n") == 0);
  CHECK_EQ(lseek(part, 0, SEEK_CUR), 10);
  CHECK_EQ(write(whole, "renamed", 7), 7);
  char name[16];
  CHECK(pthread_getname_np(other, name, sizeof name) == 0);
  CHECK(strcmp(name, "renamed") == 0);
  CHECK_EQ(fcntl(whole, F_GETFD), FD_CLOEXEC);
  CHECK_EQ(fcntl(part, F_GETFD), 0);
  CHECK_SYS(faccessat(directory, "comm", R_OK, 0));
  // Files of a thread that has ended are refused at the checkpoint.
  for (int fd = 3; fd <= directory; ++fd) close(fd);
  pthread_barrier_wait(&end);
  pthread_join(other, NULL);
  check_pass();
}
