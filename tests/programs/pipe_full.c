// A pipe filled to its capacity of 64 KiB is full to the byte, and keeps every byte in order.
//
// flavours: all
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  enum { kCapacity = 65536 };
  static char data[kCapacity];
  int ends[2], waiting;
  CHECK_SYS(pipe2(ends, O_NONBLOCK));
  CHECK_EQ(fcntl(ends[0], F_GETPIPE_SZ), kCapacity);
  check_fill(data, kCapacity, 70);
  CHECK_EQ(write(ends[1], data, kCapacity), kCapacity);
  CHECK_ERRNO(write(ends[1], "x", 1), EAGAIN);
  check_ready();
  check_wait();
  CHECK_SYS(ioctl(ends[0], FIONREAD, &waiting));
  CHECK_EQ(waiting, kCapacity);
  CHECK_ERRNO(write(ends[1], "x", 1), EAGAIN);
  memset(data, 0, kCapacity);
  size_t got = 0;
  while (got < kCapacity) got += (size_t)CHECK_SYS(read(ends[0], data + got, kCapacity - got));
  CHECK_BYTES(data, kCapacity, 70);
  CHECK_ERRNO(read(ends[0], data, 1), EAGAIN);
  CHECK_EQ(write(ends[1], data, kCapacity), kCapacity);
  check_pass();
}
