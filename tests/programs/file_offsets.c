// Offsets of regular files at 0, in the middle, at the end, at 2^31, at 2^33 and at 2^44 less a
// little.
//
// flavours: all
#include <fcntl.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const off_t offsets[] = {0,          1,          5,          10,          11,
                           0x7fffffff, 0x80000000, 0xffffffff, 0x200000000, 0xfff00000000};
  enum { kCount = sizeof offsets / sizeof offsets[0] };
  int fds[kCount];
  const char* path = check_path("file");
  for (int i = 0; i < kCount; ++i) {
    fds[i] = (int)CHECK_SYS(open(path, O_RDWR | O_CREAT, 0600));
    if (i == 0) CHECK_EQ(pwrite(fds[0], "0123456789", 10, 0), 10);
    CHECK_EQ(lseek(fds[i], offsets[i], SEEK_SET), offsets[i]);
  }
  check_ready();
  check_wait();
  for (int i = 0; i < kCount; ++i) CHECK_EQ(lseek(fds[i], 0, SEEK_CUR), offsets[i]);
  char text[11] = "";
  CHECK_EQ(read(fds[0], text, 10), 10);
  CHECK_STR(text, "0123456789");
  CHECK_EQ(read(fds[2], text, 10), 5);
  CHECK(memcmp(text, "56789", 5) == 0);
  CHECK_EQ(read(fds[3], text, 10), 0);
  CHECK_EQ(read(fds[8], text, 10), 0);
  CHECK_EQ(write(fds[8], "far", 3), 3);  // a sparse file of 8 GiB
  CHECK_EQ(lseek(fds[8], 0, SEEK_END), 0x200000003);
  check_pass();
}
