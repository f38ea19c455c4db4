// The 32-bit gate: int 0x80 from a 64-bit program reaches the kernel with other numbers.
#include "common.h"
int main(void) {
  long result;
  asm volatile("int $0x80" : "=a"(result) : "0"(20) : "memory", "r8", "r9", "r10", "r11");  // i386 getpid
  printf("int 0x80 getpid: %s\n", result == getpid() ? "same" : result == -ENOSYS ? "ENOSYS" : "different");
  return 0;
}
