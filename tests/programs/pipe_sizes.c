// Pipes of one page and of 1 MiB keep their capacity, and what is in flight: 1 byte, all but one,
// all.
//
// flavours: all
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const int capacities[] = {4096, 4096, 1 << 20, 1 << 20, 8192};
  const int filled[] = {1, 4096, (1 << 20) - 1, 1 << 20, 4097};
  static char data[1 << 20];
  int ends[5][2], waiting;
  for (int i = 0; i < 5; ++i) {
    CHECK_SYS(pipe2(ends[i], O_NONBLOCK));
    if (fcntl(ends[i][1], F_SETPIPE_SZ, capacities[i]) < 0)
      check_skip("pipes of 1 MiB are not permitted");
    check_fill(data, (size_t)filled[i], (uint64_t)(71 + i));
    CHECK_EQ(write(ends[i][1], data, (size_t)filled[i]), filled[i]);
  }
  check_ready();
  check_wait();
  for (int i = 0; i < 5; ++i) {
    CHECK_EQ(fcntl(ends[i][0], F_GETPIPE_SZ), capacities[i]);
    CHECK_SYS(ioctl(ends[i][0], FIONREAD, &waiting));
    CHECK_EQ(waiting, filled[i]);
    int got = 0;
    while (got < filled[i])
      got += (int)CHECK_SYS(read(ends[i][0], data + got, sizeof data - (size_t)got));
    CHECK_BYTES(data, (size_t)filled[i], (uint64_t)(71 + i));
    CHECK_ERRNO(read(ends[i][0], data, 1), EAGAIN);
    CHECK_EQ(write(ends[i][1], data, (size_t)capacities[i]), capacities[i]);
  }
  check_pass();
}
