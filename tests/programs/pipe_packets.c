// A pipe in packet mode (O_DIRECT) keeps its borders: 1, 100, 4096 bytes; the mode stays on.
//
// flavours: all
#include <fcntl.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const size_t sizes[] = {1, 100, 4096, 1, 4095};
  static char data[4096];
  int ends[2];
  CHECK_SYS(pipe2(ends, O_DIRECT | O_NONBLOCK));
  for (int i = 0; i < 5; ++i) {
    check_fill(data, sizes[i], (uint64_t)(80 + i));
    CHECK_EQ(write(ends[1], data, sizes[i]), sizes[i]);
  }
  check_ready();
  check_wait();
  CHECK_EQ(fcntl(ends[1], F_GETFL) & O_DIRECT, O_DIRECT);
  for (int i = 0; i < 5; ++i) {
    CHECK_EQ(read(ends[0], data, sizeof data), sizes[i]);
    CHECK_BYTES(data, sizes[i], (uint64_t)(80 + i));
  }
  CHECK_ERRNO(read(ends[0], data, 1), EAGAIN);
  CHECK_EQ(write(ends[1], "ab", 2), 2);
  CHECK_EQ(write(ends[1], "c", 1), 1);
  CHECK_EQ(read(ends[0], data, 1), 1);  // the rest of the packet is thrown away
  CHECK_EQ(read(ends[0], data, 10), 1);
  CHECK_EQ(data[0], 'c');
  check_pass();
}
