// Leases, for reading and for writing, are kept with the file's offset, and are broken by whoever
// opens the file only afterwards.
//
// flavours: all
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static volatile sig_atomic_t broken;
static void handler(int signal) {
  broken = signal;
}

int main(void) {
  char data[10000];
  const char *read_path = check_path("read"), *write_path = check_path("write");
  check_fill(data, sizeof data, 5);
  int made = (int)CHECK_SYS(open(read_path, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  CHECK_EQ(write(made, data, sizeof data), sizeof data);
  CHECK_SYS(close(made));
  int reading = (int)CHECK_SYS(open(read_path, O_RDONLY));
  int writing = (int)CHECK_SYS(open(write_path, O_RDWR | O_CREAT | O_TRUNC, 0600));
  CHECK_EQ(write(writing, data, sizeof data), sizeof data);
  CHECK_EQ(lseek(writing, 1234, SEEK_SET), 1234);
  signal(SIGIO, handler);
  if (fcntl(reading, F_SETLEASE, F_RDLCK) != 0 && (errno == EINVAL || errno == EACCES))
    check_skip("no leases on this file system, or for this user");
  CHECK_EQ(fcntl(reading, F_GETLEASE), F_RDLCK);
  CHECK_SYS(fcntl(writing, F_SETLEASE, F_WRLCK));
  check_ready();
  check_wait();
  CHECK_EQ(broken, 0);
  CHECK_EQ(fcntl(reading, F_GETLEASE), F_RDLCK);
  CHECK_EQ(fcntl(writing, F_GETLEASE), F_WRLCK);
  CHECK_EQ(lseek(writing, 0, SEEK_CUR), 1234);
  char now[sizeof data];
  CHECK_EQ(pread(writing, now, sizeof now, 0), sizeof now);
  CHECK_BYTES(now, sizeof now, 5);
  CHECK_ERRNO(open(write_path, O_RDONLY | O_NONBLOCK), EWOULDBLOCK);
  CHECK_EQ(broken, SIGIO);
  check_pass();
}
