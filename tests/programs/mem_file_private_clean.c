// A private file mapping that was never written shows the file's bytes.
//
// flavours: all
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const size_t bytes = 10 * 4096 + 100;
  char* data = malloc(bytes);
  check_fill(data, bytes, 9);
  int fd = (int)CHECK_SYS(open(check_path("data"), O_RDWR | O_CREAT | O_TRUNC, 0600));
  CHECK_EQ(write(fd, data, bytes), bytes);
  char* at = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  CHECK(at != MAP_FAILED);
  char* tail = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 10 * 4096);  // at an offset
  CHECK(tail != MAP_FAILED);
  close(fd);
  check_ready();
  check_wait();
  CHECK_BYTES(at, bytes, 9);
  CHECK(memcmp(tail, data + 10 * 4096, 100) == 0);
  for (size_t i = 100; i < 4096; ++i) CHECK_EQ(tail[i], 0);
  check_pass();
}
