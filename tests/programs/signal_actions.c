// Handler, flags and mask of all signals are kept, each with a pattern of its own.
//
// flavours: all
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

struct kernel_action {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)(void);
  uint64_t mask;
};

static void handler_a(int number) {
  (void)number;
}
static void handler_b(int number) {
  (void)number;
}
static void restorer(void) {}

static const unsigned long kRestorer = 0x04000000;
static const uint64_t kNever = 1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1);

static struct kernel_action wanted(int number) {
  static const unsigned long flags[] = {
      SA_RESTART,   SA_NODEFER,   SA_ONSTACK,   SA_SIGINFO,
      SA_RESETHAND, SA_NOCLDSTOP, SA_NOCLDWAIT, SA_RESTART | SA_SIGINFO | SA_ONSTACK};
  struct kernel_action action = {number % 2 ? handler_a : handler_b, flags[number % 8] | kRestorer,
                                 restorer, (0x0123456789abcdefull << (number % 7)) & ~kNever};
  if (number % 5 == 0) action.handler = SIG_IGN;
  if (number % 11 == 0) action.handler = SIG_DFL;
  return action;
}

static int settable(int number) {
  return number != SIGKILL && number != SIGSTOP;
}

int main(void) {
  for (int number = 1; number <= 64; ++number) {
    struct kernel_action action = wanted(number);
    if (settable(number)) CHECK_SYS(syscall(SYS_rt_sigaction, number, &action, NULL, 8));
  }
  check_ready();
  check_wait();
  for (int number = 1; number <= 64; ++number) {
    struct kernel_action got = {0}, want = wanted(number);
    CHECK_SYS(syscall(SYS_rt_sigaction, number, NULL, &got, 8));
    if (!settable(number)) {
      CHECK(got.handler == SIG_DFL);
      continue;
    }
    CHECK(got.handler == want.handler);
    CHECK_EQ(got.flags, want.flags);
    CHECK_EQ(got.mask, want.mask);
    CHECK(got.restorer == want.restorer);
  }
  check_pass();
}
