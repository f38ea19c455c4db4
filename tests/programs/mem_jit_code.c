// Code that was written at run time, and is rewritten afterwards, runs; a call of the kernel that
// stands in it works too.
//
// flavours: all
// not: patchonly because code made at run time has no patch plan
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  static const unsigned char add[] = {0x8d, 0x04, 0x37, 0xc3};             // lea (rdi,rsi),eax; ret
  static const unsigned char subtract[] = {0x89, 0xf8, 0x29, 0xf0, 0xc3};  // mov edi,eax; sub; ret
  static const unsigned char process[] = {0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3};  // getpid
  unsigned char* at =
      mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  memcpy(at, add, sizeof add);
  memcpy(at + 4096, process, sizeof process);
  int (*code)(int, int) = (int (*)(int, int))at;
  int (*call)(void) = (int (*)(void))(at + 4096);
  CHECK_EQ(code(7, 5), 12);
  CHECK_EQ(call(), getpid());
  check_ready();
  while (check_busy()) CHECK_EQ(call(), getpid());
  check_wait();
  CHECK_EQ(code(7, 5), 12);
  CHECK_EQ(call(), getpid());
  memcpy(at, subtract, sizeof subtract);
  CHECK_EQ(code(7, 5), 2);
  check_pass();
}
