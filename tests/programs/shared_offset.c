// An open file that parent and child share: one offset, one set of flags, over a checkpoint.
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
#include <fcntl.h>

#include "child.h"

static int g_file;

static void read_second(void) {
  char bytes[10];
  CHECK_EQ(read(g_file, bytes, 10), 10);
  CHECK_BYTES(bytes, 10, 2);
  CHECK((fcntl(g_file, F_GETFL) & O_NONBLOCK) != 0);
  CHECK_SYS(fcntl(g_file, F_SETFL, 0));
}

int main(void) {
  char bytes[40];
  g_file = (int)CHECK_SYS(open(check_path("data"), O_RDWR | O_CREAT, 0600));
  for (int i = 0; i < 4; ++i) check_fill(bytes + 10 * i, 10, (uint64_t)i);
  CHECK_EQ(write(g_file, bytes, 40), 40);
  CHECK_SYS(lseek(g_file, 0, SEEK_SET));
  CHECK_EQ(read(g_file, bytes, 10), 10);
  const int copy = (int)CHECK_SYS(dup(g_file));
  const check_child child = check_child_start(read_second);
  check_ready();
  check_wait();
  CHECK_EQ(lseek(g_file, 0, SEEK_CUR), 10);
  CHECK_SYS(fcntl(copy, F_SETFL, O_NONBLOCK));
  CHECK_EQ(read(copy, bytes, 10), 10);
  CHECK_BYTES(bytes, 10, 1);
  check_child_finish(child);
  CHECK_EQ(lseek(g_file, 0, SEEK_CUR), 30);
  CHECK_EQ(fcntl(g_file, F_GETFL) & O_NONBLOCK, 0);
  check_pass();
}
