// The main stack keeps its bytes and still grows by itself afterwards.
//
// flavours: all
#include "check.h"

static volatile unsigned char sink;

__attribute__((noinline)) static int deeper(int levels) {
  volatile unsigned char frame[16 * 1024];
  frame[0] = frame[sizeof frame - 1] = (unsigned char)levels;
  int below = levels == 0 ? 0 : deeper(levels - 1);
  CHECK_EQ(frame[0], (unsigned char)levels);
  CHECK_EQ(frame[sizeof frame - 1], (unsigned char)levels);
  sink = frame[100];
  return below + 1;
}

int main(void) {
  unsigned char local[64 * 1024];
  check_fill(local, sizeof local, 6);
  CHECK_EQ(deeper(20), 21);
  check_ready();
  check_wait();
  CHECK_BYTES(local, sizeof local, 6);
  CHECK_EQ(deeper(400), 401);  // 6.5 MiB of the usual 8
  CHECK_BYTES(local, sizeof local, 6);
  check_pass();
}
