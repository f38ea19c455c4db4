// Floating point state over the checkpoint, in three threads with settings of their own: x87 stack
// and control word, MXCSR with rounding, masks and sticky flags, SSE and AVX registers.
//
// flavours: all
#include <fenv.h>
#include <immintrin.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "check.h"

static pthread_barrier_t ready;
static volatile int released;

// Spins in user space with the registers loaded; memory is read, nothing is called.
__attribute__((target("avx"))) static void spin_avx(const unsigned char* in, unsigned char* out) {
  __asm__ volatile(
      "vmovups (%0), %%ymm0\n vmovups 32(%0), %%ymm7\n vmovups 64(%0), %%ymm15\n"
      "1: pause\n cmpl $0, %2\n je 1b\n"
      "vmovups %%ymm0, (%1)\n vmovups %%ymm7, 32(%1)\n vmovups %%ymm15, 64(%1)\n vzeroupper\n"
      :
      : "r"(in), "r"(out), "m"(released)
      : "xmm0", "xmm7", "xmm15", "memory", "cc");
}

static void spin_x87(long double* out) {
  __asm__ volatile(
      "fldpi\n fldl2e\n fldlg2\n"
      "1: pause\n cmpl $0, %1\n je 1b\n"
      "fstpt (%0)\n fstpt 16(%0)\n fstpt 32(%0)\n"
      :
      : "r"(out), "m"(released)
      : "memory", "cc", "st", "st(1)", "st(2)");
}

static void* run(void* argument) {
  intptr_t index = (intptr_t)argument;
  const int rounding[] = {_MM_ROUND_DOWN, _MM_ROUND_UP, _MM_ROUND_TOWARD_ZERO};
  const unsigned csr = 0x1f80 | (unsigned)rounding[index] | _MM_FLUSH_ZERO_ON |
                       (index == 1 ? _MM_EXCEPT_INEXACT : 0);
  const unsigned short control = (unsigned short)(0x037f | index << 10);
  unsigned char in[96], out[96] = {0};
  long double constants[3] = {0};
  check_fill(in, sizeof in, 40 + (uint64_t)index);
  __asm__ volatile("fldcw %0" : : "m"(control));
  _mm_setcsr(csr);
  pthread_barrier_wait(&ready);
  if (index == 2)
    spin_x87(constants);
  else if (__builtin_cpu_supports("avx"))
    spin_avx(in, out);
  unsigned short now;
  __asm__ volatile("fnstcw %0" : "=m"(now));
  CHECK_EQ(_mm_getcsr(), csr);
  CHECK_EQ(now, control);
  if (index == 2) {
    long double pi, log2e, log2;
    __asm__("fldpi" : "=t"(pi));
    __asm__("fldl2e" : "=t"(log2e));
    __asm__("fldlg2" : "=t"(log2));
    CHECK(constants[0] == log2 && constants[1] == log2e && constants[2] == pi);
  } else if (__builtin_cpu_supports("avx")) {
    CHECK_BYTES(out, sizeof out, 40 + (uint64_t)index);
  }
  return NULL;
}

int main(void) {
  pthread_t threads[3];
  CHECK_OK(pthread_barrier_init(&ready, NULL, 4));
  for (intptr_t i = 0; i < 3; ++i) CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)i));
  pthread_barrier_wait(&ready);
  fesetround(FE_UPWARD);
  feraiseexcept(FE_OVERFLOW);
  check_ready();
  check_wait();
  CHECK_EQ(fegetround(), FE_UPWARD);
  CHECK_EQ(fetestexcept(FE_ALL_EXCEPT) & FE_OVERFLOW, FE_OVERFLOW);
  released = 1;
  for (int i = 0; i < 3; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  check_pass();
}
