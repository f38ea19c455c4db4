// Contexts of asynchronous I/O (io_setup): the same numbers, and what was done but not yet
// collected.
//
// flavours: all
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static void submit(aio_context_t context, int fd, void* from, size_t bytes, off_t at,
                   uint64_t data) {
  struct iocb request = {.aio_data = data,
                         .aio_lio_opcode = IOCB_CMD_PWRITE,
                         .aio_fildes = (unsigned)fd,
                         .aio_buf = (uint64_t)from,
                         .aio_nbytes = bytes,
                         .aio_offset = at};
  struct iocb* list[1] = {&request};
  CHECK_EQ(syscall(SYS_io_submit, context, 1, list), 1);
}

static void collect(aio_context_t context, uint64_t data, long result) {
  struct io_event event;
  CHECK_EQ(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), 1);
  CHECK_EQ(event.data, data);
  CHECK_EQ(event.res, result);
}

int main(void) {
  aio_context_t small = 0, large = 0;
  char page[4096];
  check_fill(page, sizeof page, 8);
  int fd = (int)CHECK_SYS(open(check_path("data"), O_RDWR | O_CREAT | O_TRUNC, 0600));
  if (syscall(SYS_io_setup, 3, &small) != 0 && errno == ENOSYS)
    check_skip("this kernel has no AIO");
  CHECK_SYS(syscall(SYS_io_setup, 1000, &large));
  for (uint64_t i = 0; i < 5; ++i) {
    submit(large, fd, page, sizeof page, (off_t)(i * sizeof page), i);
    collect(large, i, sizeof page);
  }
  submit(large, fd, page, 100, 0, 77);
  submit(large, fd, page, 50, 0, 78);
  struct io_event none;
  struct timespec zero = {0, 0};
  check_ready();
  check_wait();
  CHECK_EQ(syscall(SYS_io_getevents, small, 0, 1, &none, &zero), 0);
  collect(large, 77, 100);
  collect(large, 78, 50);
  CHECK_EQ(syscall(SYS_io_getevents, large, 0, 1, &none, &zero), 0);
  submit(small, fd, page, sizeof page, 0, 5);
  collect(small, 5, sizeof page);
  submit(large, fd, page, sizeof page, 0, 6);
  collect(large, 6, sizeof page);
  CHECK_SYS(syscall(SYS_io_destroy, small));
  CHECK_SYS(syscall(SYS_io_destroy, large));
  check_pass();
}
