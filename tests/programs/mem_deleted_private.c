// Private mappings of a removed file that is still open: what is written to the file later shows in the pages
// that nobody has changed, and only there.
//
// flavours: all
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

enum { kPage = 4096, kPages = 4 };

int main(void) {
  const char* path = check_path("removed");
  int fd = (int)CHECK_SYS(open(path, O_RDWR | O_CREAT | O_EXCL, 0600));
  for (int i = 0; i < kPages; ++i) {
    char letter = (char)('a' + i);
    CHECK_EQ(pwrite(fd, &letter, 1, i * kPage), 1);
  }
  CHECK_SYS(ftruncate(fd, kPages * kPage));
  char* readable = mmap(NULL, kPages * kPage, PROT_READ, MAP_PRIVATE, fd, 0);
  char* writable = mmap(NULL, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 2 * kPage);
  CHECK(readable != MAP_FAILED && writable != MAP_FAILED);
  CHECK_SYS(unlink(path));
  writable[0] = 'X';
  CHECK_EQ(writable[kPage], 'd');
  check_ready();
  check_wait();
  for (int i = 0; i < kPages; ++i) CHECK_EQ(readable[i * kPage], 'a' + i);
  CHECK_EQ(writable[0], 'X');
  for (int i = 0; i < kPages; ++i) {
    char letter = (char)('A' + i);
    CHECK_EQ(pwrite(fd, &letter, 1, i * kPage), 1);
  }
  for (int i = 0; i < kPages; ++i) CHECK_EQ(readable[i * kPage], 'A' + i);
  CHECK_EQ(writable[0], 'X');
  CHECK_EQ(writable[kPage], 'D');
  check_pass();
}
