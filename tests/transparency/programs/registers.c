// A system call changes rax, rcx and r11 and nothing else; nor does a signal handler change anything.
#include "common.h"
#include <sys/time.h>

static volatile int ticks;
static void on_alarm(int n) {
  (void)n;
  ticks++;
  asm volatile("vpcmpeqd %%ymm0, %%ymm0, %%ymm0; vmovdqa %%ymm0, %%ymm7; vmovdqa %%ymm0, %%ymm15; fldpi" ::: "xmm0", "xmm7", "xmm15");
}


// Loads a pattern into every register, calls the kernel, stores what is there afterwards. Also checks
// the 128 bytes below the stack pointer, which belong to the program.
static int once(long number, long a, long b, long c) {
  static unsigned char in[16][32], out[16][32];
  static unsigned long red[2];
  unsigned long saved[6];
  long result;
  for (int n = 0; n < 16; n++) for (int m = 0; m < 32; m++) in[n][m] = (unsigned char)(n * 37 + m * 11 + number);
  asm volatile(
      "vmovdqu 0(%[in]), %%ymm0; vmovdqu 32(%[in]), %%ymm1; vmovdqu 224(%[in]), %%ymm7; vmovdqu 480(%[in]), %%ymm15\n\t"
      "push %%rbx; push %%rbp; push %%r12; push %%r13; push %%r14; push %%r15\n\t"
      "mov %[saved], %%r13; mov %[red], %%r14\n\t"
      "mov $0x1111, %%rbx; mov $0x2222, %%rbp; mov $0x3333, %%r12; mov $0x4444, %%r8; mov $0x5555, %%r9; mov $0x6666, %%r15\n\t"
      "movq $0x7777, -8(%%rsp); movq $0x8888, -120(%%rsp)\n\t"
      "mov $0x9999, %%r10\n\t"
      "std\n\t"
      "syscall\n\t"
      "pushfq; pop %%r11; cld\n\t"
      "mov %%rbx, 0(%%r13); mov %%rbp, 8(%%r13); mov %%r12, 16(%%r13); mov %%r8, 24(%%r13); mov %%r15, 32(%%r13)\n\t"
      "and $0x400, %%r11; mov %%r11, 40(%%r13)\n\t"
      "mov -120(%%rsp), %%r11; mov %%r11, 8(%%r14)\n\t"
      "pop %%r15; pop %%r14; pop %%r13; pop %%r12; pop %%rbp; pop %%rbx\n\t"
      "vmovdqu %%ymm0, 0(%[out]); vmovdqu %%ymm1, 32(%[out]); vmovdqu %%ymm7, 224(%[out]); vmovdqu %%ymm15, 480(%[out])"
      : "=a"(result)
      : "0"(number), "D"(a), "S"(b), "d"(c), [in] "r"(in), [out] "r"(out), [saved] "r"(saved), [red] "r"(red)
      : "rcx", "r8", "r9", "r10", "r11", "memory", "xmm0", "xmm1", "xmm7", "xmm15");
  const unsigned long want[] = {0x1111, 0x2222, 0x3333, 0x4444, 0x6666, 0x400};
  int wrong = memcmp(saved, want, sizeof want) != 0 || red[1] != 0x8888;
  for (int n = 0; n < 16; n++)
    if (n < 2 || n == 7 || n == 15) wrong += memcmp(in[n], out[n], 32) != 0;
  return wrong;
}

int main(void) {
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval fast = {{0, 300}, {0, 300}};
  setitimer(ITIMER_REAL, &fast, NULL);
  long wrong = 0;
  struct timespec t;
  char byte;
  int zero = open("/dev/zero", O_RDONLY);
  while (ticks < 2000) {
    wrong += once(SYS_getpid, 0, 0, 0);
    wrong += once(SYS_gettid, 0, 0, 0);
    wrong += once(SYS_read, zero, (long)&byte, 1);
    wrong += once(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&t, 0);
    wrong += once(SYS_kill, getpid(), 0, 0);
    wrong += once(SYS_close, -1, 0, 0);
    wrong += once(SYS_mprotect, 0, 0, 0);
    wrong += once(9999, 1, 2, 3);
  }
  printf("%ld wrong\n", wrong);
  printf("unknown call: %s\n", syscall(9999) < 0 ? errno_name(errno) : "worked");
  return wrong != 0;
}
