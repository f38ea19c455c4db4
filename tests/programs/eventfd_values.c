// Event counters at 0, 1, 2^32, and the highest value, plain, as semaphore and non-blocking.
//
// flavours: all
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const uint64_t values[] = {0, 1, 0xffffffff, 0x100000000, 0x123456789abcdef0, 0xfffffffffffffffe};
  int plain[6], semaphore[6];
  for (int i = 0; i < 6; ++i) {
    plain[i] = (int)CHECK_SYS(eventfd(0, EFD_NONBLOCK | (i % 2 ? EFD_CLOEXEC : 0)));
    semaphore[i] = (int)CHECK_SYS(eventfd(0, EFD_NONBLOCK | EFD_SEMAPHORE));
    if (values[i] == 0) continue;
    CHECK_EQ(write(plain[i], &values[i], 8), 8);
    CHECK_EQ(write(semaphore[i], &values[i], 8), 8);
  }
  check_ready();
  check_wait();
  for (int i = 0; i < 6; ++i) {
    uint64_t got = 0, one = 1;
    CHECK_EQ(fcntl(plain[i], F_GETFD), i % 2 ? FD_CLOEXEC : 0);
    CHECK_EQ(fcntl(plain[i], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    struct pollfd polled = {plain[i], POLLIN | POLLOUT, 0};
    poll(&polled, 1, 0);
    CHECK_EQ(polled.revents, (values[i] > 0 ? POLLIN : 0) | (i < 5 ? POLLOUT : 0));
    if (values[i] == 0) {
      CHECK_ERRNO(read(plain[i], &got, 8), EAGAIN);
      CHECK_ERRNO(read(semaphore[i], &got, 8), EAGAIN);
      continue;
    }
    if (i == 5) CHECK_ERRNO(write(plain[i], &one, 8), EAGAIN);
    CHECK_EQ(read(semaphore[i], &got, 8), 8);
    CHECK_EQ(got, 1);
    CHECK_EQ(read(plain[i], &got, 8), 8);
    CHECK_EQ(got, values[i]);
    CHECK_ERRNO(read(plain[i], &got, 8), EAGAIN);
  }
  uint64_t got;
  CHECK_ERRNO(read(semaphore[1], &got, 8), EAGAIN);  // held 1, gave 1
  check_pass();
}
