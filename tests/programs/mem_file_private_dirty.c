// A private file mapping keeps the pages that were written, and the file does not see them.
//
// flavours: all
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const size_t pages = 16, bytes = pages * 4096;
  char* data = malloc(bytes);
  check_fill(data, bytes, 10);
  int fd = (int)CHECK_SYS(open(check_path("data"), O_RDWR | O_CREAT | O_TRUNC, 0600));
  CHECK_EQ(write(fd, data, bytes), bytes);
  char* at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  CHECK(at != MAP_FAILED);
  for (size_t i = 0; i < pages; i += 3) check_fill(at + i * 4096, 4096, 100 + i);
  check_ready();
  check_wait();
  char* now = malloc(bytes);
  CHECK_EQ(pread(fd, now, bytes, 0), bytes);
  CHECK(memcmp(now, data, bytes) == 0);
  for (size_t i = 0; i < pages; ++i) {
    if (i % 3 == 0)
      CHECK_BYTES(at + i * 4096, 4096, 100 + i);
    else
      CHECK(memcmp(at + i * 4096, data + i * 4096, 4096) == 0);
  }
  at[4096] ^= 1;  // a first write afterwards copies, too
  CHECK_EQ(pread(fd, now, bytes, 0), bytes);
  CHECK(memcmp(now, data, bytes) == 0);
  check_pass();
}
