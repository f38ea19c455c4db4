// 10,000 descriptors: files, pipes with a byte in them, eventfds, duplicates.
//
// flavours: all
// not: fifty, busy because 10,000 descriptors take a second each time
// unsteady: everything because looking at so many from outside takes half a minute
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"

// Of each: a file, two ends of a pipe, an eventfd, its twin.
enum { kEach = 2000, kFirst = 100, kAll = 5 * kEach };

static int place(int fd, int number) {
  CHECK_SYS(dup2(fd, number));
  CHECK_SYS(close(fd));
  return number + 1;
}

int main(void) {
  struct rlimit limit;
  CHECK_SYS(getrlimit(RLIMIT_NOFILE, &limit));
  if (limit.rlim_max < kFirst + kAll) check_skip("fewer than 10,100 descriptors allowed");
  limit.rlim_cur = kFirst + kAll;
  CHECK_SYS(setrlimit(RLIMIT_NOFILE, &limit));
  char byte;
  int number = kFirst;
  for (int i = 0; i < kEach; ++i) {
    int ends[2];
    number = place((int)CHECK_SYS(open("/dev/null", O_RDWR)), number);
    CHECK_SYS(pipe(ends));
    byte = (char)i;
    CHECK_EQ(write(ends[1], &byte, 1), 1);
    number = place(ends[0], number);
    number = place(ends[1], number);
    number = place((int)CHECK_SYS(eventfd((unsigned)i + 1, EFD_NONBLOCK)), number);
    CHECK_SYS(dup2(number - 1, number));
    ++number;
  }
  check_ready();
  check_wait();
  for (int i = 0; i < kEach; ++i) {
    int at = kFirst + 5 * i;
    uint64_t count;
    CHECK_EQ(write(at, "x", 1), 1);
    CHECK_EQ(write(at + 2, "y", 1), 1);
    CHECK_EQ(read(at + 1, &byte, 1), 1);
    CHECK_EQ((unsigned char)byte, (unsigned char)i);
    CHECK_EQ(read(at + 1, &byte, 1), 1);
    CHECK_EQ(byte, 'y');
    CHECK_EQ(read(at + 4, &count, sizeof count), sizeof count);
    CHECK_EQ(count, i + 1);
    CHECK_ERRNO(read(at + 3, &count, sizeof count), EAGAIN);  // one object with its twin
  }
  check_pass();
}
