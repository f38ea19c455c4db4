// The status flags of a pipe's ends are those that pipe() gave or that were set, and those of an end opened
// by way of /proc are those of an open().
//
// flavours: all
// not: busy because pipes that outlive its exec send signals that are ignored no more
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "check.h"

enum { kLargeFile = 0100000 };  // what open() adds on x86-64; the C library's O_LARGEFILE is 0

static void check_flags(const int* ends, int opened, const int* quiet) {
  CHECK_EQ(fcntl(ends[0], F_GETFL), O_RDONLY | O_ASYNC);
  CHECK_EQ(fcntl(ends[1], F_GETFL), O_WRONLY | O_ASYNC);
  CHECK_EQ(fcntl(opened, F_GETFL), O_WRONLY | O_NONBLOCK | kLargeFile);
  CHECK_EQ(fcntl(quiet[0], F_GETFL), O_RDONLY);
  CHECK_EQ(fcntl(quiet[1], F_GETFL), O_WRONLY | O_NONBLOCK);
}

int main(void) {
  int ends[2], quiet[2];
  char path[32];
  signal(SIGIO, SIG_IGN);
  CHECK_SYS(pipe(ends));
  CHECK_SYS(pipe(quiet));
  snprintf(path, sizeof path, "/proc/self/fd/%d", ends[1]);
  int opened = (int)CHECK_SYS(open(path, O_WRONLY | O_NONBLOCK));
  for (int i = 0; i < 2; ++i) {
    CHECK_SYS(fcntl(ends[i], F_SETOWN, getpid()));
    CHECK_SYS(fcntl(ends[i], F_SETFL, O_ASYNC));
  }
  CHECK_SYS(fcntl(quiet[1], F_SETFL, O_NONBLOCK));
  check_flags(ends, opened, quiet);
  check_ready();
  check_wait();
  check_flags(ends, opened, quiet);
  char byte = 0;
  CHECK_EQ(write(opened, "o", 1), 1);
  CHECK_EQ(read(ends[0], &byte, 1), 1);
  CHECK_EQ(byte, 'o');
  check_pass();
}
