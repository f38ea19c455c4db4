// Memory that was only read, or written with zeros, is zero and stays writable.
//
// flavours: all
#include <sys/mman.h>

#include "check.h"

int main(void) {
  const size_t bytes = 32 << 20;
  char* read_only = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char* written = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(read_only != MAP_FAILED && written != MAP_FAILED);
  for (size_t i = 0; i < bytes; i += 4096) CHECK_EQ(((volatile char*)read_only)[i], 0);
  memset(written, 0, bytes);
  check_ready();
  check_wait();
  for (size_t i = 0; i < bytes; i += 512) CHECK_EQ(read_only[i] | written[i], 0);
  for (size_t i = 0; i < bytes; i += 4096) read_only[i] = written[i] = (char)(i >> 12);
  for (size_t i = 0; i < bytes; i += 4096) {
    CHECK_EQ(read_only[i], (char)(i >> 12));
    CHECK_EQ(written[i], (char)(i >> 12));
  }
  check_pass();
}
