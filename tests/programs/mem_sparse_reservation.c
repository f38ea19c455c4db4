// A reservation of 1 TiB with one page touched in every 64 GiB costs nothing and stays sparse.
//
// flavours: all
#include <sys/mman.h>

#include "check.h"

int main(void) {
  const size_t total = (size_t)1 << 40, step = (size_t)64 << 30;
  char* at =
      mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) check_skip("no terabyte of address space here");
  for (size_t i = 0; i < total; i += step) check_fill(at + i, 4096, i);
  check_fill(at + total - 4096, 4096, total);
  check_ready();
  check_wait();
  for (size_t i = 0; i < total; i += step) CHECK_BYTES(at + i, 4096, i);
  CHECK_BYTES(at + total - 4096, 4096, total);
  CHECK(atol(check_proc_field("/proc/self/status", "VmRSS:")) < 200 * 1024);
  for (size_t i = 0; i < 4096; ++i) CHECK_EQ(at[step / 2 + i], 0);
  check_pass();
}
