// A shared file mapping and the file stay one thing in both directions.
//
// flavours: all
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const size_t bytes = 8 * 4096;
  int fd = (int)CHECK_SYS(open(check_path("shared"), O_RDWR | O_CREAT | O_TRUNC, 0600));
  CHECK_SYS(ftruncate(fd, (off_t)bytes));
  char* at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  char* again = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 4096);
  CHECK(at != MAP_FAILED && again != MAP_FAILED);
  check_fill(at, bytes, 11);
  check_ready();
  while (check_busy()) check_fill(at, bytes, 11);
  check_wait();
  char* now = malloc(bytes);
  CHECK_BYTES(at, bytes, 11);
  CHECK_EQ(pread(fd, now, bytes, 0), bytes);
  CHECK_BYTES(now, bytes, 11);
  CHECK_EQ(pwrite(fd, "from the file", 13, 4096), 13);
  CHECK(memcmp(at + 4096, "from the file", 13) == 0);
  CHECK(memcmp(again, "from the file", 13) == 0);
  memcpy(at + 4096, "from memory", 11);
  CHECK_EQ(pread(fd, now, 13, 4096), 13);
  CHECK(memcmp(now, "from memoryle", 13) == 0);
  CHECK(memcmp(again, "from memoryle", 13) == 0);
  check_pass();
}
