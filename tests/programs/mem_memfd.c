// A memfd keeps name, size, seals, bytes and holes; a mapping and the descriptor stay one.
//
// flavours: all
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const off_t bytes = 1 << 20;
  int fd = (int)CHECK_SYS(memfd_create("check memory", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  CHECK_SYS(ftruncate(fd, bytes));
  CHECK_SYS(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
  char* at = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(at != MAP_FAILED);
  check_fill(at, 4096, 22);
  check_fill(at + bytes - 4096, 4096, 23);
  CHECK_EQ(lseek(fd, 777, SEEK_SET), 777);
  check_ready();
  check_wait();
  CHECK_BYTES(at, 4096, 22);
  CHECK_BYTES(at + bytes - 4096, 4096, 23);
  for (off_t i = 4096; i < bytes - 4096; ++i) CHECK_EQ(at[i], 0);
  CHECK_EQ(lseek(fd, 0, SEEK_CUR), 777);
  CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);
  CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
  struct stat status;
  CHECK_SYS(fstat(fd, &status));
  CHECK_EQ(status.st_size, bytes);
  CHECK_ERRNO(ftruncate(fd, bytes + 1), EPERM);
  CHECK_EQ(pwrite(fd, "new", 3, 8192), 3);
  CHECK(memcmp(at + 8192, "new", 3) == 0);
  char link[128], name[256] = "";
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  CHECK(readlink(link, name, sizeof name - 1) > 0);
  CHECK(strstr(name, "check memory") != NULL);
  check_pass();
}
