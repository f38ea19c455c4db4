// Pages that hold data under PROT_NONE (guards, garbage collectors) keep both.
//
// flavours: all
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

// EFAULT of a system call tells protection without a signal.
static int readable(const void* at) {
  int pipe_ends[2];
  CHECK_SYS(pipe(pipe_ends));
  ssize_t wrote = write(pipe_ends[1], at, 1);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
  return wrote == 1;
}

int main(void) {
  const size_t bytes = 64 * 4096;
  char* at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  check_fill(at, bytes, 8);
  CHECK_SYS(mprotect(at, bytes, PROT_NONE));
  check_ready();
  check_wait();
  for (size_t i = 0; i < bytes; i += 4096) CHECK_EQ(readable(at + i), 0);
  CHECK_SYS(mprotect(at, bytes, PROT_READ));
  CHECK_BYTES(at, bytes, 8);
  check_pass();
}
