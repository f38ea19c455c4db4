// A handler that runs on the alternate stack at the checkpoint goes on there; SS_ONSTACK is
// reported and the stack cannot be changed meanwhile. Stack overflow is then still caught on it.
//
// flavours: all
#include <setjmp.h>
#include <signal.h>

#include "check.h"

static unsigned char stack_bytes[64 * 1024];
static sigjmp_buf escape;

static int on_altstack(void) {
  return (uintptr_t)__builtin_frame_address(0) - (uintptr_t)stack_bytes < sizeof stack_bytes;
}

static void on_signal(int number) {
  (void)number;
  stack_t now, other = {.ss_flags = SS_DISABLE};
  CHECK(on_altstack());
  check_ready();
  check_wait();
  CHECK(on_altstack());
  CHECK_SYS(sigaltstack(NULL, &now));
  CHECK_EQ(now.ss_flags, SS_ONSTACK);
  CHECK(now.ss_sp == stack_bytes);
  CHECK_EQ(now.ss_size, sizeof stack_bytes);
  CHECK_ERRNO(sigaltstack(&other, NULL), EPERM);
}

static void on_overflow(int number) {
  (void)number;
  CHECK(on_altstack());
  siglongjmp(escape, 1);
}

__attribute__((noinline)) static int overflow(volatile int* levels) {
  volatile char frame[4096];
  frame[0] = (char)++*levels;
  if (*levels < 0) return 0;
  return overflow(levels) + frame[0];
}

int main(void) {
  stack_t stack = {.ss_sp = stack_bytes, .ss_size = sizeof stack_bytes};
  CHECK_SYS(sigaltstack(&stack, NULL));
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
  CHECK_SYS(sigaction(SIGUSR1, &action, NULL));
  CHECK_SYS(raise(SIGUSR1));
  stack_t now;
  CHECK_SYS(sigaltstack(NULL, &now));
  CHECK_EQ(now.ss_flags, 0);
  CHECK(now.ss_sp == stack_bytes);
  struct sigaction fault = {.sa_handler = on_overflow, .sa_flags = SA_ONSTACK};
  CHECK_SYS(sigaction(SIGSEGV, &fault, NULL));
  volatile int levels = 0;
  if (sigsetjmp(escape, 1) == 0) overflow(&levels);
  CHECK(levels > 100);
  check_pass();
}
