// A handler with its own floating point state is in progress at the checkpoint; the interrupted
// code's registers (SSE, x87, MXCSR) come back from the frame.
//
// flavours: all
#include <signal.h>
#include <unistd.h>
#include <xmmintrin.h>

#include "check.h"

static volatile int handled;

static void on_signal(int number) {
  (void)number;
  unsigned csr = 0x1f80 | _MM_ROUND_TOWARD_ZERO;
  _mm_setcsr(csr);
  check_ready();
  check_wait();
  CHECK_EQ(_mm_getcsr() & _MM_ROUND_MASK, _MM_ROUND_TOWARD_ZERO);
  __asm__ volatile("pcmpeqb %%xmm3, %%xmm3\n pcmpeqb %%xmm12, %%xmm12" : : : "xmm3", "xmm12");
  handled = 1;
}

int main(void) {
  struct sigaction action = {.sa_handler = on_signal};
  CHECK_SYS(sigaction(SIGUSR1, &action, NULL));
  unsigned char in[32], out[32] = {0};
  check_fill(in, sizeof in, 50);
  _mm_setcsr(0x1f80 | _MM_ROUND_UP);
  long double popped = 0;
  long result = 62;  // kill
  __asm__ volatile(
      "movups (%3), %%xmm3\n movups 16(%3), %%xmm12\n fldpi\n"
      "syscall\n"
      "movups %%xmm3, (%4)\n movups %%xmm12, 16(%4)\n fstpt %1\n"
      : "+a"(result), "=m"(popped)
      : "D"((long)getpid()), "r"(in), "r"(out), "S"((long)SIGUSR1)
      : "rcx", "r11", "xmm3", "xmm12", "memory");
  long double pi;
  __asm__("fldpi" : "=t"(pi));
  CHECK_EQ(result, 0);
  CHECK_EQ(handled, 1);
  CHECK_BYTES(out, sizeof out, 50);
  CHECK(popped == pi);
  CHECK_EQ(_mm_getcsr() & _MM_ROUND_MASK, _MM_ROUND_UP);
  check_pass();
}
