// POSIX shared memory whose name is gone: with a descriptor (which shm_open opens with O_NOFOLLOW),
// and only mapped, in two views, with pages that were never touched.
//
// flavours: all
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

enum { kPage = 4096, kBytes = 64 * kPage };

static int make(const char* purpose) {
  char name[64];
  snprintf(name, sizeof name, "/check-%s-%d-%lld", purpose, getpid(),
           (long long)check_nanoseconds(CLOCK_REALTIME));
  int fd = (int)CHECK_SYS(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
  CHECK_SYS(ftruncate(fd, kBytes));
  CHECK_SYS(shm_unlink(name));
  return fd;
}

static char* map(int fd, off_t offset, size_t bytes) {
  char* at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
  CHECK(at != MAP_FAILED);
  return at;
}

int main(void) {
  int kept = make("kept"), closed = make("closed");
  char* open_one = map(kept, 0, kBytes);
  char* whole = map(closed, 0, kBytes);
  char* part = map(closed, 16 * kPage, 32 * kPage);
  CHECK_SYS(close(closed));
  check_fill(open_one, kBytes, 1);
  check_fill(whole, 8 * kPage, 2);
  check_fill(part + 24 * kPage, 8 * kPage, 3);
  const int flags = (int)CHECK_SYS(fcntl(kept, F_GETFL));
  CHECK(flags & O_NOFOLLOW);
  check_ready();
  check_wait();
  CHECK_EQ(fcntl(kept, F_GETFL), flags);
  CHECK_BYTES(open_one, kBytes, 1);
  CHECK_BYTES(whole, 8 * kPage, 2);
  CHECK_BYTES(whole + 40 * kPage, 8 * kPage, 3);
  for (int page = 8; page < 40; ++page) CHECK_EQ(whole[page * kPage], 0);
  whole[16 * kPage] = 'x';  // still one memory
  CHECK_EQ(part[0], 'x');
  struct stat status;
  CHECK_SYS(fstat(kept, &status));
  CHECK_EQ(status.st_nlink, 0);
  CHECK_EQ(status.st_size, kBytes);
  open_one[0] = 'y';
  char byte = 0;
  CHECK_EQ(pread(kept, &byte, 1, 0), 1);
  CHECK_EQ(byte, 'y');
  check_pass();
}
