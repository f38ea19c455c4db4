// System calls by inline assembly: results, errors and all registers but rax, rcx and r11 are as
// the kernel leaves them, for every one of six arguments.
//
// flavours: all
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static long call(long number, long a, long b, long c, long d, long e, long f) {
  register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
  register long r12 __asm__("r12") = 0x1212, r13 __asm__("r13") = 0x1313,
                    r14 __asm__("r14") = 0x1414, r15 __asm__("r15") = 0x1515;
  long result = number, a_after = a, b_after = b, c_after = c;
  __asm__ volatile("syscall"
                   : "+a"(result), "+D"(a_after), "+S"(b_after), "+d"(c_after), "+r"(r10), "+r"(r8),
                     "+r"(r9), "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15)
                   :
                   : "rcx", "r11", "memory");
  CHECK_EQ(a_after, a);
  CHECK_EQ(b_after, b);
  CHECK_EQ(c_after, c);
  CHECK_EQ(r10, d);
  CHECK_EQ(r8, e);
  CHECK_EQ(r9, f);
  CHECK_EQ(r12, 0x1212);
  CHECK_EQ(r13, 0x1313);
  CHECK_EQ(r14, 0x1414);
  CHECK_EQ(r15, 0x1515);
  return result;
}

static void verify(pid_t process) {
  CHECK_EQ(call(SYS_getpid, 1, 2, 3, 4, 5, 6), process);
  CHECK_EQ(call(SYS_gettid, 1, 2, 3, 4, 5, 6), process);
  CHECK_EQ(call(SYS_close, -1, 0, 0, 0, 0, 0), -EBADF);
  CHECK_EQ(call(99999, 1, 2, 3, 4, 5, 6), -ENOSYS);
  CHECK_EQ(call(-1, 1, 2, 3, 4, 5, 6), -ENOSYS);
  CHECK_EQ(call(SYS_read, 0, 1, 0, 0, 0, 0), 0);
  long at = call(SYS_mmap, 0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at > 0);
  *(volatile char*)at = 1;
  CHECK_EQ(call(SYS_munmap, at, 8192, 0, 0, 0, 0), 0);
  // Flags survive, too: the direction flag is the visible one.
  unsigned long flags;
  long result = SYS_getppid;
  __asm__ volatile("std\n syscall\n pushfq\n cld\n popq %1\n"
                   : "+a"(result), "=r"(flags)
                   :
                   : "rcx", "r11", "memory");
  CHECK_EQ(flags & 0x400, 0x400);
  CHECK_EQ(result, getppid());
}

int main(void) {
  pid_t process = getpid();
  verify(process);
  check_ready();
  while (check_busy()) verify(process);
  check_wait();
  verify(process);
  check_pass();
}
