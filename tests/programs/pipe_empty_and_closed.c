// An empty pipe blocks and can be written; one without writers reads as ended, one without readers
// gives EPIPE, also when the end was closed with data left inside.
//
// flavours: all
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  int open_both[2], no_writer[2], no_reader[2], left[2];
  signal(SIGPIPE, SIG_IGN);
  CHECK_SYS(pipe2(open_both, O_NONBLOCK));
  CHECK_SYS(pipe(no_writer));
  CHECK_SYS(pipe(no_reader));
  CHECK_SYS(pipe(left));
  close(no_writer[1]);
  close(no_reader[0]);
  CHECK_EQ(write(left[1], "rest", 4), 4);
  close(left[1]);
  check_ready();
  check_wait();
  char bytes[16] = "";
  CHECK_ERRNO(read(open_both[0], bytes, 1), EAGAIN);
  CHECK_EQ(write(open_both[1], "new", 3), 3);
  CHECK_EQ(read(open_both[0], bytes, 16), 3);
  CHECK_EQ(read(no_writer[0], bytes, 1), 0);
  CHECK_ERRNO(write(no_reader[1], "x", 1), EPIPE);
  struct pollfd polled[] = {
      {no_writer[0], POLLIN, 0}, {no_reader[1], POLLOUT, 0}, {open_both[1], POLLOUT, 0}};
  CHECK_EQ(poll(polled, 3, 0), 3);
  CHECK_EQ(polled[0].revents, POLLHUP);
  CHECK_EQ(polled[1].revents, POLLOUT | POLLERR);
  CHECK_EQ(polled[2].revents, POLLOUT);
  CHECK_EQ(read(left[0], bytes, 16), 4);
  CHECK(memcmp(bytes, "rest", 4) == 0);
  CHECK_EQ(read(left[0], bytes, 16), 0);
  check_pass();
}
