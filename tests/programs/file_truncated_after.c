// A file that was truncated, and one that was unlinked, after the commit is whole again.
//
// flavours: all
// run-on: always
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

enum { kBytes = 10000 };
static int truncated, unlinked, ran_on;
static const char* unlinked_path;

static void run_on(void) {
  CHECK_SYS(ftruncate(truncated, 17));
  CHECK_SYS(unlink(unlinked_path));
  ran_on = 1;
}

int main(void) {
  static char data[kBytes];
  unlinked_path = check_path("unlinked");
  truncated = (int)CHECK_SYS(open(check_path("truncated"), O_RDWR | O_CREAT, 0600));
  unlinked = (int)CHECK_SYS(open(unlinked_path, O_RDWR | O_CREAT, 0600));
  check_fill(data, kBytes, 60);
  CHECK_EQ(write(truncated, data, kBytes), kBytes);
  CHECK_EQ(write(unlinked, data, kBytes), kBytes);
  check_on_run_on(run_on);
  check_ready();
  check_wait();
  struct stat status;
  CHECK_SYS(fstat(truncated, &status));
  CHECK_EQ(status.st_size, ran_on ? 17 : kBytes);
  CHECK_EQ(access(unlinked_path, F_OK), ran_on ? -1 : 0);
  if (!ran_on) {
    CHECK_EQ(pread(truncated, data, kBytes, 0), kBytes);
    CHECK_BYTES(data, kBytes, 60);
  }
  CHECK_EQ(pread(unlinked, data, kBytes, 0), kBytes);
  CHECK_BYTES(data, kBytes, 60);
  CHECK_EQ(lseek(truncated, 0, SEEK_CUR), kBytes);
  check_pass();
}
