// siglongjmp out of a handler that interrupted a blocking call works, over and over, before and
// after; the mask is the saved one.
//
// flavours: all
#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

#include "check.h"

static sigjmp_buf escape;
static volatile int ready_to_jump;

static void on_alarm(int number) {
  (void)number;
  if (ready_to_jump) siglongjmp(escape, 1);
}

static void jump_out_of_read(int end) {
  char byte;
  ready_to_jump = 0;
  if (sigsetjmp(escape, 1) == 0) {
    ready_to_jump = 1;
    ualarm(1000, 1000);  // again and again: one may come before read
    ssize_t result = read(end, &byte, 1);
    check_fail(__FILE__, __LINE__, "read ended with %zd", result);
  }
  ready_to_jump = 0;
  ualarm(0, 0);
  sigset_t now;
  CHECK_SYS(sigprocmask(SIG_BLOCK, NULL, &now));
  CHECK_EQ(sigismember(&now, SIGALRM), 0);
}

int main(void) {
  int ends[2];
  CHECK_SYS(pipe(ends));
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  CHECK_SYS(sigaction(SIGALRM, &action, NULL));
  for (int i = 0; i < 10; ++i) jump_out_of_read(ends[0]);
  check_expect_eintr();
  check_ready();
  while (check_busy()) jump_out_of_read(ends[0]);
  check_wait();
  for (int i = 0; i < 50; ++i) jump_out_of_read(ends[0]);
  check_pass();
}
