// A mapping of a file that has been deleted keeps its bytes, shared and private, and the descriptor
// still leads to the same file.
//
// flavours: all
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const size_t bytes = 5 * 4096 + 17;
  const char* path = check_path("gone");
  int fd = (int)CHECK_SYS(open(path, O_RDWR | O_CREAT | O_TRUNC, 0600));
  CHECK_SYS(ftruncate(fd, (off_t)bytes));
  char* shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  char* private = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  CHECK(shared != MAP_FAILED && private != MAP_FAILED);
  check_fill(shared, bytes, 20);
  check_fill(private, 4096, 21);
  CHECK_SYS(unlink(path));
  check_ready();
  check_wait();
  CHECK_BYTES(shared, bytes, 20);
  CHECK_BYTES(private, 4096, 21);
  CHECK(memcmp(private + 4096, shared + 4096, bytes - 4096) == 0);
  struct stat status;
  CHECK_SYS(fstat(fd, &status));
  CHECK_EQ(status.st_size, bytes);
  CHECK_EQ(status.st_nlink, 0);
  CHECK_EQ(access(path, F_OK), -1);
  CHECK_EQ(pwrite(fd, "x", 1, 4096), 1);
  CHECK_EQ(shared[4096], 'x');
  check_pass();
}
