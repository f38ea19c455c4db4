// /dev/null, /dev/zero, /dev/full and /dev/urandom stay what they are.
//
// flavours: all
#include <fcntl.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  int null_fd = (int)CHECK_SYS(open("/dev/null", O_RDWR)),
      zero = (int)CHECK_SYS(open("/dev/zero", O_RDONLY));
  int full = (int)CHECK_SYS(open("/dev/full", O_WRONLY)),
      noise = (int)CHECK_SYS(open("/dev/urandom", O_RDONLY));
  check_ready();
  check_wait();
  char bytes[64], other[64];
  CHECK_EQ(read(null_fd, bytes, 64), 0);
  CHECK_EQ(write(null_fd, bytes, 64), 64);
  CHECK_EQ(read(zero, bytes, 64), 64);
  for (int i = 0; i < 64; ++i) CHECK_EQ(bytes[i], 0);
  CHECK_ERRNO(write(full, bytes, 1), ENOSPC);
  CHECK_EQ(read(noise, bytes, 64), 64);
  CHECK_EQ(read(noise, other, 64), 64);
  CHECK(memcmp(bytes, other, 64) != 0);
  check_pass();
}
