// A file whose records were overwritten in place after the commit has the committed ones back.
//
// flavours: all
// run-on: always
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

enum { kRecords = 64, kRecord = 4096 };
static int fd, version = 1;

static void write_all(void) {
  static char record[kRecord];
  for (int i = 0; i < kRecords; ++i) {
    check_fill(record, kRecord, (uint64_t)(version * 1000 + i));
    CHECK_EQ(pwrite(fd, record, kRecord, i * kRecord), kRecord);
  }
}

static void run_on(void) {
  ++version;
  write_all();
}

int main(void) {
  fd = (int)CHECK_SYS(open(check_path("table"), O_RDWR | O_CREAT, 0600));
  write_all();
  check_on_run_on(run_on);
  check_ready();
  while (check_busy()) run_on();
  check_wait();
  static char record[kRecord];
  for (int i = 0; i < kRecords; ++i) {
    CHECK_EQ(pread(fd, record, kRecord, i * kRecord), kRecord);
    CHECK_BYTES(record, kRecord, (uint64_t)(version * 1000 + i));
  }
  struct stat status;
  CHECK_SYS(fstat(fd, &status));
  CHECK_EQ(status.st_size, kRecords * kRecord);
  check_pass();
}
